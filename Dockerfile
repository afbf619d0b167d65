# The program in an image of its own, with a C library and nothing else: no shell, no root.
#
#     docker build --tag greet .
#     docker run --rm --init --publish 127.0.0.1:55550:55550 greet serve 55550 --host 0.0.0.0 --plaintext

# The version is that of .dvmrc.
FROM denoland/deno:2.9.3 AS build
WORKDIR /greet
COPY deno.json deno.lock ./
COPY tests/deno.json tests/
RUN deno install --frozen
COPY LICENSE *.ts ./
COPY release/ release/
COPY src/ src/
COPY tools/ tools/
RUN deno task compile \
  && deno run --allow-read --allow-run release/licenses.ts > THIRD_PARTY_LICENSES

FROM gcr.io/distroless/cc-debian13:nonroot
COPY --from=build /greet/greet /usr/local/bin/
COPY --from=build /greet/LICENSE /greet/THIRD_PARTY_LICENSES /usr/share/doc/greet/
ENTRYPOINT ["/usr/local/bin/greet"]
