// Copyright: (c) 2026, Lifeboat contributors
// SPDX-License-Identifier: GPL-3.0-or-later

// Api-front forwards TCP connections to the first of several servers that takes them: --listen=ADDRESS:PORT --targets=FILE, a server in each line.
package main

import (
	"flag"
	"io"
	"log"
	"net"
	"os"
	"strings"
	"time"
)

const dialTimeout = time.Second

// Dial tries the servers of the file in turn; it is read each time, so a change of it needs no new start.
func dial(file string) net.Conn {
	text, err := os.ReadFile(file)
	if err != nil {
		log.Print(err)
		return nil
	}
	for _, target := range strings.Fields(string(text)) {
		server, err := net.DialTimeout("tcp", target, dialTimeout)
		if err == nil {
			return server
		}
	}
	return nil
}

// One direction; the end of what one side sends is passed on, the other direction may go on.
func pass(to, from net.Conn, done chan<- struct{}) {
	_, _ = io.Copy(to, from)
	if half, ok := to.(*net.TCPConn); ok {
		_ = half.CloseWrite()
	}
	done <- struct{}{}
}

func forward(client net.Conn, file string) {
	defer client.Close()
	server := dial(file)
	if server == nil {
		return
	}
	defer server.Close()
	done := make(chan struct{}, 2)
	go pass(server, client, done)
	go pass(client, server, done)
	<-done
	<-done
}

func main() {
	address := flag.String("listen", "127.0.0.1:7443", "where to listen")
	file := flag.String("targets", "", "file with the servers")
	flag.Parse()
	listener, err := net.Listen("tcp", *address)
	if err != nil {
		log.Fatal(err)
	}
	for {
		client, err := listener.Accept()
		if err != nil {
			log.Fatal(err)
		}
		go forward(client, *file)
	}
}
