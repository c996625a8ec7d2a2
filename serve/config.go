package serve

import (
	"fmt"
	"net/url"
	"time"

	"garb/model"
	"garb/serve/access"
	"garb/serve/engine"
	"garb/serve/observe"
	"garb/serve/registry"
	"garb/serve/request"
)

// Config holds the settings of a service.
type Config struct {
	// Addr is the address to listen on: host:port.
	Addr   string
	Models registry.Config
	Engine engine.Config
	Bodies request.BodyConfig

	MaxHeaderBytes int
	MaxConnections int

	// RequestTimeout limits the time from a request's header to its response; clients may ask
	// for less. HeaderTimeout limits the time of the header, and IdleTimeout that of a
	// connection without a request.
	RequestTimeout time.Duration
	HeaderTimeout  time.Duration
	IdleTimeout    time.Duration
	// Grace is the time that requests in progress get when the service shuts down.
	Grace time.Duration

	// APIKeyFile is a file of API keys, one a line; with "" no key is needed.
	APIKeyFile      string
	TLSCert, TLSKey string // files in PEM; "" for plain HTTP
	// URLPrefixes are the prefixes of the URLs that pictures may be fetched from.
	URLPrefixes []string
	// TraceEndpoint is the OTLP/HTTP URL that traces are sent to; "" leaves it to the OTEL_* variables.
	TraceEndpoint string
}

// Default returns the default settings, without models.
func Default() Config {
	return Config{
		Addr:   "localhost:8080",
		Models: registry.DefaultConfig(), Engine: engine.DefaultConfig(), Bodies: request.DefaultBodyConfig(),
		MaxHeaderBytes: 16 << 10, MaxConnections: 1024,
		RequestTimeout: 30 * time.Second, HeaderTimeout: 5 * time.Second, IdleTimeout: 2 * time.Minute,
		Grace: 15 * time.Second,
	}
}

// ErrTLSPair is the error of a configuration with a TLS certificate but no key, or a key but no
// certificate.
var ErrTLSPair = access.ErrTLSPair

// Validate reports settings that cannot work.
func (c Config) Validate() error {
	for _, check := range []func() error{
		c.Models.Validate, c.Engine.Validate, c.Bodies.Validate, c.validateURLPrefixes, c.validateBounds, c.validateRules,
		c.observe().Validate,
	} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

// observe returns the settings of metrics, traces and logs.
func (c Config) observe() observe.Config {
	return observe.Config{Version: model.Version, TraceEndpoint: c.TraceEndpoint}
}

// validateURLPrefixes checks that each prefix has a host that is complete.
func (c Config) validateURLPrefixes() error {
	for _, p := range c.URLPrefixes {
		u, err := url.Parse(p)
		if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.Path == "" || u.User != nil ||
			u.RawQuery != "" || u.Fragment != "" {
			return fmt.Errorf("the URL prefix %q: it must be an http or https URL with at least a slash after the "+
				"host, such as https://images.example.org/", p)
		}
	}
	return nil
}

// validateBounds checks each number by itself.
func (c Config) validateBounds() error {
	for _, b := range []struct {
		setting      string
		value, least int64
	}{
		{"connections", int64(c.MaxConnections), 1},
		{"bytes of a header", int64(c.MaxHeaderBytes), 1024},
	} {
		if b.value < b.least {
			return fmt.Errorf("%s %d: must be at least %d", b.setting, b.value, b.least)
		}
	}
	for _, b := range []struct {
		setting string
		value   time.Duration
		least   time.Duration
	}{
		{"request timeout", c.RequestTimeout, 1},
		{"header timeout", c.HeaderTimeout, 1},
		{"idle timeout", c.IdleTimeout, 1},
		{"grace period", c.Grace, 0},
	} {
		if b.value < b.least {
			return fmt.Errorf("%s %v: must be %s", b.setting, b.value, [...]string{"at least 0", "above 0"}[b.least])
		}
	}
	return nil
}

// validateRules checks how settings relate.
func (c Config) validateRules() error {
	switch {
	case c.Bodies.MaxPictures > c.Engine.Queue:
		return fmt.Errorf("a request may have %d pictures, but the queue has only %d places", c.Bodies.MaxPictures,
			c.Engine.Queue)
	case (c.TLSCert == "") != (c.TLSKey == ""):
		return ErrTLSPair
	}
	return nil
}
