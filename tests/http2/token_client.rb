# Greets a server three times, with a token: token_client.rb ADDRESS TOKEN [CERTIFICATE_FILE]

require "grpc"

address, token, certificate = ARGV
credentials =
  if certificate
    GRPC::Core::ChannelCredentials.new(File.read(certificate))
  else
    :this_channel_is_insecure
  end
stub = GRPC::ClientStub.new(address, credentials)
raw = ->(bytes) { bytes }
3.times do
  puts stub.request_response("/greet.v1.Greeter/Greet", "\x0a\x03Bob", raw, raw,
                             deadline: Time.now + 10, metadata: { "authorization" => token })
end
