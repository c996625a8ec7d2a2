//go:build !small

package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"garb/serve"
)

const healthHelp = `Check whether a garb service is ready. The exit code is 0 if it is, and 1 if not. Use it as
the health check of a container that holds nothing but garb. As for garb serve, the
environment variable GARB_ADDR sets the address.`

// healthCheck holds the flags of health.
type healthCheck struct {
	addr, url string
	insecure  bool
	timeout   time.Duration
	base      *url.URL // of the service
	socket    string   // the path of its Unix socket; "" for TCP
}

func newHealthCommand() *cobra.Command {
	h := &healthCheck{addr: serve.Default().Addr, timeout: 2 * time.Second}
	command := &cobra.Command{
		Use:   "health [flags]",
		Short: "Check whether a garb service is ready",
		Long:  healthHelp,
		Example: `  garb health
  garb health --url https://localhost:8443 --insecure
  garb health --addr unix:/run/garb/garb.sock`,
		Args: func(c *cobra.Command, args []string) error { return h.validate(c, args) },
		RunE: func(c *cobra.Command, _ []string) error {
			// No proxy, even if the environment names one: it would answer for the service.
			transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: h.insecure}}
			if h.socket != "" {
				transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
					return new(net.Dialer).DialContext(ctx, "unix", h.socket)
				}
			}
			client := &http.Client{Timeout: h.timeout, Transport: transport}
			text, err := checkReady(c.Context(), client, h.base, h.name())
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(c.OutOrStdout(), text)
			return err
		},
	}
	flags := command.Flags()
	flags.StringVar(&h.addr, "addr", h.addr,
		"`ADDRESS` of the service, as in garb serve --addr: HOST:PORT or unix:/path/of.sock")
	flags.StringVar(&h.url, "url", "", "`URL` of the service, instead of --addr, such as https://garb.example.org")
	flags.BoolVar(&h.insecure, "insecure", false,
		"accept any certificate; the service's certificate is rarely valid for localhost")
	flags.DurationVar(&h.timeout, "timeout", h.timeout, "maximum time to wait")
	return command
}

// validate reads GARB_ADDR and finds the URL of the service.
func (h *healthCheck) validate(c *cobra.Command, args []string) error {
	if err := refuseArguments(c, args); err != nil {
		return err
	}
	// No other variable applies: GARB_TIMEOUT, for one, is the timeout of requests.
	err := readEnvironment(c.Flags(), func(name string) (string, bool) {
		value, ok := os.LookupEnv(name)
		return value, ok && name == "GARB_ADDR"
	})
	if err != nil {
		return err
	}
	address := h.url
	path, isSocket := strings.CutPrefix(h.addr, "unix:")
	switch {
	case address != "":
	case isSocket:
		h.socket, _, _ = strings.Cut(path, "?") // of its mode
		address = "http://localhost"
	default:
		if address, err = makeURL(h.addr); err != nil {
			return err
		}
	}
	h.base, err = url.Parse(address)
	if err != nil || h.base.Scheme != "http" && h.base.Scheme != "https" || h.base.Host == "" {
		return fmt.Errorf("--url %q: it must be an http or https URL", address)
	}
	return nil
}

// makeURL returns the URL of a service that listens on addr. If it listens on all addresses,
// the host is localhost.
func makeURL(addr string) (string, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return "", fmt.Errorf("--addr %q: it must be HOST:PORT, such as localhost:8080, or unix:/path/of.sock", addr)
	}
	if ip := net.ParseIP(host); host == "" || ip.IsUnspecified() {
		host = "localhost"
	}
	return "http://" + net.JoinHostPort(host, port), nil
}

// name returns what messages call the service: its host and port, or its Unix socket.
func (h *healthCheck) name() string {
	if h.socket != "" {
		return "unix:" + h.socket
	}
	return h.base.Host
}

// checkReady sends a readiness request to a service, and returns a line about it if it is
// ready. Messages call the service by its name.
func checkReady(ctx context.Context, client *http.Client, base *url.URL, name string) (string, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, base.JoinPath("readyz").String(), nil)
	if err != nil {
		return "", err
	}
	a, err := client.Do(r)
	if err != nil {
		var inner *url.Error
		if errors.As(err, &inner) { // it repeats the address
			err = inner.Err
		}
		return "", fmt.Errorf("%s does not answer: %w; start garb serve, or name its address with --addr or --url",
			name, err)
	}
	defer a.Body.Close()
	var body struct {
		Status string         `json:"status"`
		Models map[string]int `json:"models"`
		Detail string         `json:"detail"`
	}
	err = json.NewDecoder(io.LimitReader(a.Body, 1<<20)).Decode(&body)
	switch {
	case a.StatusCode != http.StatusOK && body.Detail != "":
		return "", fmt.Errorf("%s is not ready: %s", name, body.Detail)
	case a.StatusCode != http.StatusOK:
		return "", fmt.Errorf("%s is not ready: it answered %s", name, a.Status)
	case err != nil || body.Status != "ready":
		return "", fmt.Errorf("%s answers, but not like a garb service", name)
	}
	return fmt.Sprintf("%s is ready, models: %d", name, len(body.Models)), nil
}
