package serve

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"time"

	"garb/picture"
)

// NamedModel is a model to answer with, under a name.
type NamedModel struct{ Name, Path string }

// Config is how a service runs.
type Config struct {
	// Addr is where it listens: host:port.
	Addr string
	// Models are opened at the start. ModelsFolder, if not "", holds NAME/VERSION/ folders
	// that are looked at every ModelsInterval: the highest version that can be used answers.
	Models         []NamedModel
	ModelsFolder   string
	ModelsInterval time.Duration

	// Queue is the number of pictures that may be under way, from their decoding on; one
	// more is refused at once.
	Queue int
	// MaxBatch bounds how many waiting pictures a model computes together.
	MaxBatch int
	// Workers is the number of batches that a model computes at a time, and Decoders that of
	// pictures that are decoded at a time; 0: as many as there are cores.
	Workers, Decoders int

	MaxBodyBytes int64 // of one request
	// BodyBudgetBytes bounds the bodies of all requests together; gRPC's count three times.
	BodyBudgetBytes int64
	MaxPictures     int // of one request
	MaxHeaderBytes  int
	MaxConnections  int
	Limits          picture.Limits

	// RequestTimeout bounds a request from its header to its answer; clients may ask for
	// less. HeaderTimeout bounds the header, IdleTimeout a connection without a request.
	RequestTimeout time.Duration
	HeaderTimeout  time.Duration
	IdleTimeout    time.Duration
	// Grace is what requests under way get when the service stops.
	Grace time.Duration

	// APIKeyFile holds the keys that are let in, one a line; "" lets everybody in.
	APIKeyFile      string
	TLSCert, TLSKey string // files in PEM; "" for plain HTTP
	// URLPrefixes are those of the addresses that pictures may be fetched from.
	URLPrefixes []string
	// TraceEndpoint is the OTLP/HTTP address that traces are sent to; "" sends none.
	TraceEndpoint string
}

// Default returns the configuration of `garb serve` without flags, but for its models.
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

// modelName is what a model may be called: it is a part of addresses.
var modelName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

// Validate reports settings that cannot work.
func (c Config) Validate() error {
	names := map[string]bool{}
	for _, m := range c.Models {
		switch {
		case !modelName.MatchString(m.Name):
			return fmt.Errorf("a model named %q: names are letters, digits, dots, dashes and underscores, at most 64",
				m.Name)
		case names[m.Name]:
			return fmt.Errorf("two models are named %s", m.Name)
		}
		names[m.Name] = true
	}
	for _, p := range c.URLPrefixes {
		u, err := url.Parse(p)
		if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.Path == "" || u.User != nil ||
			u.RawQuery != "" || u.Fragment != "" {
			return fmt.Errorf("the prefix %q: it is an http or https address with at least a slash after its host, "+
				"such as https://images.example.org/", p)
		}
	}
	switch {
	case len(c.Models) == 0 && c.ModelsFolder == "":
		return errors.New("no model is named")
	case c.ModelsInterval <= 0:
		return fmt.Errorf("an interval of %v between looks at the models' folder: it is positive", c.ModelsInterval)
	case c.Queue < 1 || c.MaxBatch < 1 || c.Workers < 0 || c.Decoders < 0 || c.MaxPictures < 1 || c.MaxConnections < 1:
		return fmt.Errorf("queue %d, batch %d, workers %d, decoders %d, pictures %d, connections %d: none is below "+
			"1 (workers, decoders: 0)", c.Queue, c.MaxBatch, c.Workers, c.Decoders, c.MaxPictures, c.MaxConnections)
	case c.MaxPictures > c.Queue:
		return fmt.Errorf("%d pictures a request never find room in a queue of %d: raise the queue", c.MaxPictures,
			c.Queue)
	case c.MaxBodyBytes < 1 || c.BodyBudgetBytes/(1+messageCopies) < c.MaxBodyBytes || c.MaxHeaderBytes < 1024:
		return fmt.Errorf("bodies of %d bytes, of all together %d, headers of %d: bodies have 1 at least, all "+
			"together the %d times of one that gRPC takes, headers 1024", c.MaxBodyBytes, c.BodyBudgetBytes,
			c.MaxHeaderBytes, 1+messageCopies)
	case c.RequestTimeout <= 0 || c.HeaderTimeout <= 0 || c.IdleTimeout <= 0 || c.Grace < 0:
		return fmt.Errorf("request %v, header %v, idle %v, grace %v: times are positive (grace: or 0)",
			c.RequestTimeout, c.HeaderTimeout, c.IdleTimeout, c.Grace)
	case (c.TLSCert == "") != (c.TLSKey == ""):
		return errors.New("a certificate and its key go together: --tls-cert and --tls-key")
	}
	return c.Limits.Validate()
}
