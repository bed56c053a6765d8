// Copyright: (c) 2026, Lifeboat contributors
// SPDX-License-Identifier: GPL-3.0-or-later

// Kms-plugin is a KMS v2 plugin for API servers: --listen=SOCKET --key=FILE, the file being what a security module would keep for itself.
package main

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"time"

	"k8s.io/kms/pkg/service"
)

const timeout = 5 * time.Second

type module struct {
	cipher cipher.AEAD
	id     string
}

// The id tells keys apart and says nothing of the key.
func open(file string) (*module, error) {
	secret, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	key := sha256.Sum256(secret)
	block, err := aes.NewCipher(key[:])
	if err != nil {
		return nil, err
	}
	sealer, err := cipher.NewGCM(block)
	if err != nil {
		return nil, err
	}
	id := sha256.Sum256(key[:])
	return &module{sealer, fmt.Sprintf("lab-%x", id[:4])}, nil
}

func (m *module) Status(context.Context) (*service.StatusResponse, error) {
	return &service.StatusResponse{Version: "v2", Healthz: "ok", KeyID: m.id}, nil
}

func (m *module) Encrypt(_ context.Context, _ string, data []byte) (*service.EncryptResponse, error) {
	nonce := make([]byte, m.cipher.NonceSize())
	if _, err := rand.Read(nonce); err != nil {
		return nil, err
	}
	return &service.EncryptResponse{Ciphertext: m.cipher.Seal(nonce, nonce, data, nil), KeyID: m.id}, nil
}

func (m *module) Decrypt(_ context.Context, _ string, request *service.DecryptRequest) ([]byte, error) {
	size := m.cipher.NonceSize()
	if request.KeyID != m.id || len(request.Ciphertext) < size {
		return nil, errors.New("it was not encrypted here")
	}
	return m.cipher.Open(nil, request.Ciphertext[:size], request.Ciphertext[size:], nil)
}

func main() {
	socket := flag.String("listen", "", "socket of the API server")
	file := flag.String("key", "", "file with the key")
	flag.Parse()
	own, err := open(*file)
	if err != nil {
		log.Fatal(err)
	}
	// Of the container before this one.
	if err := os.Remove(*socket); err != nil && !errors.Is(err, os.ErrNotExist) {
		log.Fatal(err)
	}
	log.Printf("key %s at %s", own.id, *socket)
	log.Fatal(service.NewGRPCService(*socket, timeout, own).ListenAndServe())
}
