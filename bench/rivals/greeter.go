// A greeting server and client in Go, as its users would write them.
//
//	greeter serve PORT
//	greeter greet PORT NAME
package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"time"

	"google.golang.org/grpc"

	pb "greeting"
)

type greeter struct {
	pb.UnimplementedGreeterServer
}

func (greeter) Greet(_ context.Context, user *pb.UserInfo) (*pb.ServerResponse, error) {
	return &pb.ServerResponse{Greeting: "Hello, " + user.Name + "."}, nil
}

func serve(port string) {
	listener, err := net.Listen("tcp", "127.0.0.1:"+port)
	check(err)
	server := grpc.NewServer()
	pb.RegisterGreeterServer(server, greeter{})
	fmt.Println("Server started, listening on", listener.Addr().(*net.TCPAddr).Port)
	check(server.Serve(listener))
}

func greet(port, name string) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	connection, err := grpc.Dial("127.0.0.1:"+port, grpc.WithInsecure())
	check(err)
	defer connection.Close()
	response, err := pb.NewGreeterClient(connection).Greet(ctx, &pb.UserInfo{Name: name})
	check(err)
	fmt.Printf("[%s] Message received from server: %q\n", name, response.Greeting)
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func main() {
	if os.Args[1] == "serve" {
		serve(os.Args[2])
	} else {
		greet(os.Args[2], os.Args[3])
	}
}
