package access_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"

	"garb/serve/access"
)

// A request needs a key, and the key's limits must admit it.
func ExampleKeys_Authenticate() {
	folder, err := os.MkdirTemp("", "example")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(folder)
	config := access.Default()
	config.APIKeyFile = filepath.Join(folder, "keys.toml")
	text := `
[[key]]
name = "shop"
sha256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08" # of "test"
requests_per_second = 0.2
burst_seconds = 5
`
	if err = os.WriteFile(config.APIKeyFile, []byte(text), 0o600); err != nil {
		fmt.Println(err)
		return
	}
	keys, err := access.OpenKeys(config)
	if err != nil {
		fmt.Println(err)
		return
	}
	// A service starts: go keys.Watch(ctx)

	_, err = keys.Authenticate(http.Header{"X-Api-Key": {"guessed"}})
	fmt.Println(err)

	key, err := keys.Authenticate(http.Header{"Authorization": {"Bearer test"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	for range 2 {
		release, err := key.Admit(access.Cost{Requests: 1, Pictures: 1})
		if limit := (*access.LimitError)(nil); errors.As(err, &limit) {
			fmt.Println(limit, "- retry in", limit.RetryAfter.Round(1e9))
			return
		}
		fmt.Println("classify for", key.Name())
		release()
	}
	// Output:
	// the API key is unknown or was revoked
	// classify for shop
	// the API key's limit is reached: requests_per_second of the key shop - retry in 5s
}

// A server with the certificate of two files, which may be renewed while it runs.
func ExampleCertificate() {
	config := access.Default()
	config.TLSCert, config.TLSKey = "cert.pem", "key.pem"
	certificate, err := access.OpenCertificate(config)
	if err != nil {
		fmt.Println(err)
		return
	}
	server := &http.Server{Addr: ":8443", TLSConfig: certificate.TLSConfig()}
	go certificate.Watch(context.Background())
	fmt.Println(server.ListenAndServeTLS("", ""))
}
