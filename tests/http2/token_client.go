// Greets a server three times, with a token.
//
//	token_client ADDRESS TOKEN [CERTIFICATE_FILE]
package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
)

// Messages are bytes, so that nothing has to be generated.
type raw struct{}

func (raw) Marshal(v interface{}) ([]byte, error)      { return *v.(*[]byte), nil }
func (raw) Unmarshal(data []byte, v interface{}) error { *v.(*[]byte) = data; return nil }
func (raw) Name() string                               { return "proto" }

func main() {
	security := grpc.WithInsecure()
	if len(os.Args) == 4 {
		trusted, err := credentials.NewClientTLSFromFile(os.Args[3], "localhost")
		check(err)
		security = grpc.WithTransportCredentials(trusted)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	connection, err := grpc.DialContext(ctx, os.Args[1], security)
	check(err)
	ctx = metadata.AppendToOutgoingContext(ctx, "authorization", os.Args[2])
	for i := 0; i < 3; i++ {
		request, answer := []byte("\x0a\x03Bob"), []byte{}
		check(connection.Invoke(ctx, "/greet.v1.Greeter/Greet", &request, &answer, grpc.ForceCodec(raw{})))
		fmt.Printf("%s\n", answer)
	}
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
