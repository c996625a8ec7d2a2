package serve

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"garb/answers"
	"garb/model"
	"garb/serve/access"
	"garb/serve/connection"
	"garb/serve/engine"
	"garb/serve/fetch"
	"garb/serve/listen"
	"garb/serve/observe"
	"garb/serve/origin"
	"garb/serve/registry"
	"garb/serve/request"
)

// Config holds the settings of a service.
type Config struct {
	// Addr is the address to listen on, in the forms that package listen takes: host:port, a Unix
	// socket, or a socket of systemd. AdminAddr, if not "", is the address for probes and metrics.
	Addr, AdminAddr string

	Models registry.Config
	Engine engine.Config
	Bodies request.BodyConfig
	// Connection limits connections. Its ReadTimeout and WriteTimeout follow from RequestTimeout, and
	// TLS, BaseContext, Log and Count are set by the service.
	Connection connection.Config

	// RequestTimeout limits the time from a request's header to its response; clients may ask for less.
	RequestTimeout time.Duration
	// When the service shuts down, it is not ready for DrainDelay, but still takes requests, so that load
	// balancers choose other instances. Then requests in progress get the time Grace.
	DrainDelay, Grace time.Duration

	// APIKeyFile is a file of API keys; with "" no key is needed.
	APIKeyFile      string
	TLSCert, TLSKey string // files in PEM; "" for plain HTTP
	// URLPrefixes are the prefixes of the URLs that pictures may be fetched from.
	URLPrefixes []string
	// AllowPrivate are private networks that pictures may be fetched from.
	AllowPrivate []netip.Prefix
	// Answers says which answers are kept for later; with the folder "" none are.
	Answers answers.Config
	// Origin has the web pages that may use the service.
	Origin origin.Config
	// TryFolder is the folder of the page that classifies in the visitor's browser, for /try/; "" for none.
	TryFolder string
	// TraceEndpoint is the OTLP/HTTP URL that traces are sent to; "" leaves it to the OTEL_* variables.
	TraceEndpoint string
}

// Default returns the default settings, without models.
func Default() Config {
	return Config{
		Addr:   "localhost:8080",
		Models: registry.DefaultConfig(), Engine: engine.DefaultConfig(), Bodies: request.DefaultBodyConfig(),
		Connection: connection.DefaultConfig(), Answers: answers.Default(""),
		RequestTimeout: 30 * time.Second, Grace: 15 * time.Second,
	}
}

// ErrTLSPair is the error of a configuration with a TLS certificate but no key, or a key but no
// certificate.
var ErrTLSPair = access.ErrTLSPair

// Validate reports settings that cannot work.
func (c Config) Validate() error {
	for _, check := range []func() error{
		c.validateAddresses, c.Models.Validate, c.Engine.Validate, c.Bodies.Validate, c.connection().Validate,
		c.fetch().Validate, c.Origin.Validate, c.observe().Validate, c.validateTimes, c.validateRules,
		c.validateAnswers,
	} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

// validateAddresses checks the addresses to listen on.
func (c Config) validateAddresses() error {
	if err := listen.Validate(c.Addr); err != nil {
		return err
	}
	if c.AdminAddr == "" {
		return nil
	}
	if c.AdminAddr == c.Addr && !strings.HasSuffix(c.Addr, ":0") { // port 0 stands for any free port
		return fmt.Errorf("the address %s for probes and metrics must not be that of the service", c.AdminAddr)
	}
	return listen.Validate(c.AdminAddr)
}

// validateAnswers checks the settings of the answers that are kept, if any are.
func (c Config) validateAnswers() error {
	if c.Answers.Folder == "" {
		return nil
	}
	return c.Answers.Validate()
}

// engine returns the settings of the engines.
func (c Config) engine() engine.Config {
	out := c.Engine
	out.Embeddings = out.Embeddings || c.Answers.Folder != "" && c.Answers.Embeddings
	return out
}

// connection returns the settings of connections, with the timeouts of requests.
func (c Config) connection() connection.Config {
	out := c.Connection
	// A request must end by its own timeout first, and its response still has to be written.
	out.ReadTimeout = c.RequestTimeout + 2*c.Connection.HeaderTimeout
	out.WriteTimeout = c.RequestTimeout + c.Connection.HeaderTimeout
	return out
}

// observe returns the settings of metrics, traces and logs.
func (c Config) observe() observe.Config {
	return observe.Config{Version: model.Version, TraceEndpoint: c.TraceEndpoint}
}

// fetch returns the settings of fetching pictures.
func (c Config) fetch() fetch.Config {
	f := fetch.Default()
	f.Prefixes, f.AllowPrivate, f.MaxBytes = c.URLPrefixes, c.AllowPrivate, c.Engine.Limits.MaxBytes
	return f
}

// validateTimes checks each time by itself.
func (c Config) validateTimes() error {
	switch {
	case c.RequestTimeout <= 0:
		return fmt.Errorf("the request timeout is %v; it must be above 0", c.RequestTimeout)
	case c.DrainDelay < 0:
		return fmt.Errorf("the drain delay is %v; it must be at least 0", c.DrainDelay)
	case c.Grace < 0:
		return fmt.Errorf("the grace period is %v; it must be at least 0", c.Grace)
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

// applyTo returns a copy of a running configuration with those settings of c that can change while the
// service runs.
func (c Config) applyTo(running Config) Config {
	running.Engine.Queue, running.Engine.Limits = c.Engine.Queue, c.Engine.Limits
	running.Bodies = c.Bodies
	running.RequestTimeout, running.Grace = c.RequestTimeout, c.Grace
	running.APIKeyFile = c.APIKeyFile
	running.URLPrefixes = slices.Clone(c.URLPrefixes)
	return running
}
