# More cases of gRPC's interoperability tests, for the client of version 1.51, which lacks them.
# Source: grpc/grpc doc/interop-test-descriptions.md.

class NamedTests
  def special_status_message
    message = "\t\ntest with whitespace\r\nand Unicode BMP ☺ and non-BMP 😈\t\n"
    status = EchoStatus.new(code: GRPC::Core::StatusCodes::UNKNOWN, message: message)
    details = begin
      @stub.unary_call(SimpleRequest.new(response_status: status))
      nil
    rescue GRPC::Unknown => e
      e.details.dup.force_encoding("UTF-8")
    end
    assert("the message is #{details.inspect}") { details == message }
  end

  # Many calls on one connection.
  def rpc_soak
    100.times { perform_large_unary }
  end

  # A connection for each call.
  def channel_soak
    20.times do
      @stub = create_stub(@args)
      perform_large_unary
    end
  end

  # Calls that share a connection at the same time.
  def concurrent_large_unary
    10.times.map { Thread.new { 10.times { perform_large_unary } } }.each(&:join)
  end
end
