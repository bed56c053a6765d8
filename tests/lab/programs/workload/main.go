// Copyright: (c) 2026, Lifeboat contributors
// SPDX-License-Identifier: GPL-3.0-or-later

// Workload is the smallest application with state: every request adds one to a counter in a file and answers with it.
package main

import (
	"fmt"
	"log"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
)

func main() {
	file := os.Getenv("COUNTER_FILE")
	if file == "" {
		file = "/data/counter"
	}
	address := os.Getenv("LISTEN")
	if address == "" {
		address = ":8080"
	}
	var guard sync.Mutex
	http.HandleFunc("/healthz", func(answer http.ResponseWriter, _ *http.Request) { fmt.Fprintln(answer, "ok") })
	http.HandleFunc("/", func(answer http.ResponseWriter, _ *http.Request) {
		guard.Lock()
		defer guard.Unlock()
		text, _ := os.ReadFile(file)
		count, _ := strconv.Atoi(strings.TrimSpace(string(text)))
		count++
		if err := os.WriteFile(file+".new", []byte(strconv.Itoa(count)+"\n"), 0o644); err != nil {
			http.Error(answer, err.Error(), http.StatusInternalServerError)
			return
		}
		if err := os.Rename(file+".new", file); err != nil {
			http.Error(answer, err.Error(), http.StatusInternalServerError)
			return
		}
		fmt.Fprintln(answer, count)
	})
	log.Fatal(http.ListenAndServe(address, nil))
}
