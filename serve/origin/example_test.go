package origin_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"

	"garb/serve/origin"
)

func ExampleNew() {
	config := origin.Config{CORSOrigins: []string{"https://shop.example.org"}, Loopback: true}
	protect, err := origin.New(config, func(w http.ResponseWriter, _ *http.Request, err error) {
		status := http.StatusForbidden
		if errors.Is(err, origin.ErrHost) {
			status = http.StatusMisdirectedRequest
		}
		http.Error(w, err.Error(), status)
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	handler := protect(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "a shirt") }))

	send := func(host, page string) {
		r := httptest.NewRequest(http.MethodPost, "http://"+host+"/v1/classify", nil)
		if page != "" {
			r.Header.Set("Origin", page)
			r.Header.Set("Sec-Fetch-Site", "cross-site")
		}
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		fmt.Print(w.Code, " ", w.Body)
	}
	send("localhost:8080", "")                         // a program
	send("localhost:8080", "https://shop.example.org") // the front end
	send("localhost:8080", "https://evil.example")     // a page that the user happens to visit
	send("evil.example:8080", "")                      // a name that resolves to this machine
	// Output:
	// 200 a shirt
	// 200 a shirt
	// 403 this service does not accept requests from pages of other origins
	// 421 this service is not available under this host name
}
