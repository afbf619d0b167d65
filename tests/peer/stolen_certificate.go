// Presents a certificate without having its key: it signs handshakes with another key.
//
//	stolen_certificate call|serve ADDRESS CERTIFICATE OTHER_KEY
//
// It prints "listening PORT" if it serves, and then how the handshake ended.
package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"time"
)

func pemIn(file string) []byte {
	bytes, err := os.ReadFile(file)
	if err != nil {
		panic(err)
	}
	block, _ := pem.Decode(bytes)
	return block.Bytes
}

func main() {
	mode, address := os.Args[1], os.Args[2]
	key, err := x509.ParsePKCS8PrivateKey(pemIn(os.Args[4]))
	if err != nil {
		panic(err)
	}
	config := &tls.Config{
		Certificates:       []tls.Certificate{{Certificate: [][]byte{pemIn(os.Args[3])}, PrivateKey: key}},
		InsecureSkipVerify: true,
		NextProtos:         []string{"h2"},
	}
	var connection *tls.Conn
	if mode == "call" {
		raw, err := net.Dial("tcp", address)
		if err != nil {
			panic(err)
		}
		connection = tls.Client(raw, config)
	} else {
		listener, err := net.Listen("tcp", address)
		if err != nil {
			panic(err)
		}
		fmt.Println("listening", listener.Addr().(*net.TCPAddr).Port)
		raw, err := listener.Accept()
		if err != nil {
			panic(err)
		}
		connection = tls.Server(raw, config)
	}
	connection.SetDeadline(time.Now().Add(10 * time.Second))
	err = connection.Handshake()
	if err == nil {
		// In TLS 1.3 a client learns only now whether its certificate was accepted.
		_, err = connection.Read(make([]byte, 1))
	}
	fmt.Println("ended:", err)
}
