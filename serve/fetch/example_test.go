package fetch_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"

	"garb/serve/fetch"
)

func ExampleFetcher_Get() {
	store := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, "a picture")
	}))
	defer store.Close()

	config := fetch.Default()
	config.Prefixes = []string{store.URL + "/shirts/"}
	config.AllowPrivate = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}
	fetcher, err := fetch.New(config)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer fetcher.Close()

	data, err := fetcher.Get(context.Background(), store.URL+"/shirts/1.jpg")
	fmt.Printf("%s, %v\n", data, err)

	_, err = fetcher.Get(context.Background(), store.URL+"/secrets")
	fmt.Println(err)
	var failed *fetch.Error
	if errors.As(err, &failed) {
		fmt.Println("for the log:", failed.Cause)
	}
	// Output:
	// a picture, <nil>
	// this service does not fetch pictures from this URL; send the picture itself
	// for the log: the URL has none of the prefixes
}
