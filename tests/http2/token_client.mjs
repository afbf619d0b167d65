// Greets a server three times, with a token: token_client.mjs ADDRESS TOKEN [CERTIFICATE_FILE]

import { readFileSync } from "node:fs";
import { connect } from "node:http2";

const [address, token, certificate] = process.argv.slice(2);
const session = certificate === undefined
  ? connect(`http://${address}`)
  : connect(`https://${address}`, { ca: readFileSync(certificate) });
for (let i = 0; i < 3; i++) {
  const call = session.request({
    ":method": "POST",
    ":path": "/greet.v1.Greeter/Greet",
    "content-type": "application/grpc",
    te: "trailers",
    authorization: token,
  });
  // Not compressed, 5 bytes: field 1 is "Bob".
  call.end(Buffer.from([0, 0, 0, 0, 5, 10, 3, 66, 111, 98]));
  for await (const chunk of call) console.log(chunk.toString());
}
session.close();
