package serve

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"time"

	"garb/picture"
)

// NamedModel is a model to serve, and the name that it is served under.
type NamedModel struct{ Name, Path string }

// Config holds the settings of a service.
type Config struct {
	// Addr is the address to listen on: host:port.
	Addr string
	// Models are opened at the start. ModelsFolder, if not "", has folders NAME/VERSION/ that
	// are scanned every ModelsInterval: the highest version that can be used is served.
	Models         []NamedModel
	ModelsFolder   string
	ModelsInterval time.Duration

	// Queue is the largest number of pictures in progress, including those that are being
	// decoded or classified; requests with more are refused at once.
	Queue int
	// MaxBatch is the largest number of pictures that a model computes as a batch.
	MaxBatch int
	// Workers is the number of batches that a model computes at a time, and Decoders the
	// number of pictures that are decoded at a time; 0 means the number of cores.
	Workers, Decoders int

	MaxBodyBytes int64 // of one request
	// BodyBudgetBytes limits the bodies of all requests together; those of gRPC count three times.
	BodyBudgetBytes int64
	MaxPictures     int // of one request
	MaxHeaderBytes  int
	MaxConnections  int
	Limits          picture.Limits

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
	// TraceEndpoint is the OTLP/HTTP URL that traces are sent to; "" sends none.
	TraceEndpoint string
}

// Default returns the default settings, without models.
func Default() Config {
	return Config{
		Addr: "localhost:8080", ModelsInterval: 2 * time.Second,
		Queue: 256, MaxBatch: 4,
		MaxBodyBytes: 32 << 20, BodyBudgetBytes: 256 << 20, MaxPictures: 32, MaxHeaderBytes: 16 << 10,
		MaxConnections: 1024,
		Limits:         picture.DefaultLimits(),
		RequestTimeout: 30 * time.Second, HeaderTimeout: 5 * time.Second, IdleTimeout: 2 * time.Minute,
		Grace: 15 * time.Second,
	}
}

// modelName matches the names that a model may have, which are parts of URLs.
var modelName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

// ErrTLSPair is the error of a configuration with a TLS certificate but no key, or a key but no
// certificate.
var ErrTLSPair = errors.New("a TLS certificate and its private key must be given together")

// Validate reports settings that cannot work.
func (c Config) Validate() error {
	for _, check := range []func() error{
		c.validateModels, c.validateURLPrefixes, c.validateBounds, c.validateRules, c.Limits.Validate,
	} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

// validateModels checks the names of the models.
func (c Config) validateModels() error {
	if len(c.Models) == 0 && c.ModelsFolder == "" {
		return errors.New("no model is named")
	}
	names := map[string]bool{}
	for _, m := range c.Models {
		switch {
		case !modelName.MatchString(m.Name):
			return fmt.Errorf("the model name %q: names are up to 64 letters, digits, dots, dashes and underscores",
				m.Name)
		case names[m.Name]:
			return fmt.Errorf("two models have the name %s", m.Name)
		}
		names[m.Name] = true
	}
	return nil
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
		{"queue", int64(c.Queue), 1},
		{"batch size", int64(c.MaxBatch), 1},
		{"workers", int64(c.Workers), 0},
		{"decoders", int64(c.Decoders), 0},
		{"pictures of a request", int64(c.MaxPictures), 1},
		{"connections", int64(c.MaxConnections), 1},
		{"bytes of a body", c.MaxBodyBytes, 1},
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
		{"interval of scans of the models' folder", c.ModelsInterval, 1},
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
	case c.MaxPictures > c.Queue:
		return fmt.Errorf("a request may have %d pictures, but the queue has only %d places", c.MaxPictures, c.Queue)
	case c.BodyBudgetBytes/(1+messageCopies) < c.MaxBodyBytes:
		return fmt.Errorf("the budget of %d bytes for all bodies must be at least %d times the limit of %d bytes for "+
			"one body, since gRPC copies it", c.BodyBudgetBytes, 1+messageCopies, c.MaxBodyBytes)
	case (c.TLSCert == "") != (c.TLSKey == ""):
		return ErrTLSPair
	}
	return nil
}
