// Uses etcd's own naming package, as a service written in Go does.
//
//	etcd_resolver ENDPOINT SERVICE [ID ADDRESS]
//
// prints the addresses of a service, one a line, and then registers ADDRESS if it is given.
package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"go.etcd.io/etcd/clientv3"
	"go.etcd.io/etcd/clientv3/naming/endpoints"
)

func main() {
	endpoint, service := os.Args[1], os.Args[2]
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{endpoint}, Context: ctx})
	check(err)
	manager, err := endpoints.NewManager(client, service)
	check(err)
	known, err := manager.List(ctx)
	check(err)
	for key, endpoint := range known {
		fmt.Println(key, endpoint.Addr)
	}
	if len(os.Args) == 5 {
		id, address := os.Args[3], os.Args[4]
		added := endpoints.Endpoint{Addr: address, Metadata: map[string]string{"zone": "b"}}
		check(manager.AddEndpoint(ctx, service+"/"+id, added))
	}
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
