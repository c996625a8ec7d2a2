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
	"time"

	"github.com/spf13/cobra"

	"garb/serve"
)

func newHealthCommand() *cobra.Command {
	addr, timeout := serve.Default().Addr, 2*time.Second
	var address string
	var insecure bool
	var base *url.URL
	command := &cobra.Command{
		Use:   "health [flags]",
		Short: "Check whether a garb service is ready",
		Long: `Check whether a garb service is ready: the exit code is 0 if it is, 1 if not. Use it
as the health check of a container that holds nothing but garb. GARB_ADDR is its
address, as for serve.`,
		Example: `  garb health
  garb health --url https://localhost:8443 --insecure`,
		Args: func(c *cobra.Command, args []string) error {
			if err := refuseArguments(c, args); err != nil {
				return err
			}
			// No other variable: GARB_TIMEOUT, for one, is how long requests may take.
			err := readEnvironment(c.Flags(), func(name string) (string, bool) {
				value, ok := os.LookupEnv(name)
				return value, ok && name == "GARB_ADDR"
			})
			if err != nil {
				return err
			}
			if address == "" {
				address, err = makeURL(addr)
			}
			if err != nil {
				return err
			}
			base, err = url.Parse(address)
			if err != nil || base.Scheme != "http" && base.Scheme != "https" || base.Host == "" {
				return fmt.Errorf("--url %q is not an http or https address", address)
			}
			return nil
		},
		RunE: func(c *cobra.Command, _ []string) error {
			// No proxy, whatever the environment says: one would answer for the service.
			client := &http.Client{Timeout: timeout,
				Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: insecure}}}
			text, err := checkReady(c.Context(), client, base)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(c.OutOrStdout(), text)
			return err
		},
	}
	flags := command.Flags()
	flags.StringVar(&addr, "addr", addr, "host and port that the service listens on, as --addr of serve")
	flags.StringVar(&address, "url", "", "URL of the service, instead of --addr, such as https://garb.example.org")
	flags.BoolVar(&insecure, "insecure", false,
		"accept any certificate; that of the service is seldom valid for localhost")
	flags.DurationVar(&timeout, "timeout", timeout, "how long to wait")
	return command
}

// makeURL is where to ask a service that listens on addr: one that listens everywhere is
// asked on this machine.
func makeURL(addr string) (string, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return "", fmt.Errorf("--addr %q: it is HOST:PORT, such as localhost:8080", addr)
	}
	if ip := net.ParseIP(host); host == "" || ip.IsUnspecified() {
		host = "localhost"
	}
	return "http://" + net.JoinHostPort(host, port), nil
}

// checkReady asks the service at an address, and returns what it says when it is ready.
func checkReady(ctx context.Context, client *http.Client, base *url.URL) (string, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, base.JoinPath("readyz").String(), nil)
	if err != nil {
		return "", err
	}
	a, err := client.Do(r)
	if err != nil {
		var inner *url.Error
		if errors.As(err, &inner) { // which repeats the address
			err = inner.Err
		}
		return "", fmt.Errorf("%s does not answer: %w", base.Host, err)
	}
	defer a.Body.Close()
	var said struct {
		Status string         `json:"status"`
		Models map[string]int `json:"models"`
		Detail string         `json:"detail"`
	}
	err = json.NewDecoder(io.LimitReader(a.Body, 1<<20)).Decode(&said)
	switch {
	case a.StatusCode != http.StatusOK && said.Detail != "":
		return "", fmt.Errorf("%s is not ready: %s", base.Host, said.Detail)
	case a.StatusCode != http.StatusOK:
		return "", fmt.Errorf("%s is not ready: it answers %s", base.Host, a.Status)
	case err != nil || said.Status != "ready":
		return "", fmt.Errorf("%s answers, but not as garb does", base.Host)
	}
	return fmt.Sprintf("%s is ready, models: %d", base.Host, len(said.Models)), nil
}
