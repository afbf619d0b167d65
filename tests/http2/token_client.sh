# Greets a server three times, with a token: token_client.sh ADDRESS TOKEN [CERTIFICATE_FILE]

address=$1 token=$2 certificate=$3
if [ -n "$certificate" ]; then
  set -- --cacert "$certificate" "https://$address/greet.v1.Greeter/Greet"
else
  set -- --http2-prior-knowledge "http://$address/greet.v1.Greeter/Greet"
fi
for _ in 1 2 3; do
  # Not compressed, 5 bytes: field 1 is "Bob".
  printf '\0\0\0\0\5\n\3Bob' |
    curl --silent --fail --output - --data-binary @- "$@" \
      -H 'content-type: application/grpc' -H 'te: trailers' -H "authorization: $token" || exit
done
