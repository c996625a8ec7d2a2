//go:build !small

package main

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"garb/answers"
	"garb/model"
	"garb/serve"
)

// serviceHints are the hints for errors of the service.
var serviceHints = []func(error) string{hintIs(serve.ErrTLSPair, "use both --tls-cert and --tls-key")}

const serveHelp = `Serve models over HTTP. Without flags, the built-in classifier is served on localhost:8080:
open http://localhost:8080 and drop a picture. The APIs for programs are documented at
/docs: garb's own API, the Open Inference Protocol (KServe v2, REST and gRPC on the same
port) and the APIs of TensorFlow Serving (REST and gRPC).

Most models refuse pictures that show none of their classes ("accepted": false). --accept
sets the acceptance threshold, and ?accept=0.3 sets it for one request; "all" accepts every
picture.

Every flag can also be set by an environment variable (--max-batch is GARB_MAX_BATCH), or by
a line of the YAML file that --config names (max-batch: 8). A flag takes precedence over its
variable, and the variable over the file. --print-config shows what is in effect, and why.
SIGHUP reads the file again. SIGTERM or Ctrl-C stops the service; requests in flight have
the time of --grace to finish.`

// service holds the flags of serve.
type service struct {
	config serve.Config
	models []string
	rules  modelRules
	accept acceptFlag

	accepted                 limitFlags
	settings                 *settings
	printConfig, checkConfig bool
	privateNetworks          []string
}

func newServeCommand() *cobra.Command {
	s := &service{config: serve.Default()}
	command := &cobra.Command{
		Use:   "serve [flags]",
		Short: "Serve models over HTTP, with a web page and APIs",
		Long:  serveHelp,
		Example: `  garb serve
  garb serve --model clothing=runs/mine --model imagenet=imagenet
  garb serve --models /srv/models --addr :8080 --api-key-file keys.txt
  garb serve --models /srv/models --label clothing:stable=3 --label clothing:canary=4 --canary clothing=10%
  garb serve --accept 0.3
  garb serve --config garb.yaml --print-config
  curl --data-binary @photo.jpg 'http://localhost:8080/v1/classify?top=3'`,
		Args: func(c *cobra.Command, args []string) error { return s.validate(c, args) },
		RunE: func(c *cobra.Command, _ []string) error { return s.run(c) },
	}
	s.addFlags(command.Flags())
	groupFlags(command, s.flagGroups())
	return command
}

// flagGroups returns all flags of serve. Each call makes new ones, which set the same values.
func (s *service) flagGroups() []flagGroup {
	return []flagGroup{
		newFlagGroup("Flags for addresses", s.addAddressFlags),
		newFlagGroup("Flags for models", s.addModelFlags),
		newFlagGroup("Flags for versions of models", s.rules.addFlags),
		newFlagGroup("Flags for access", s.addAccessFlags),
		newFlagGroup("Flags for computing", s.addEngineFlags),
		newFlagGroup("Flags for limits", s.addLimitFlags),
		newFlagGroup("Flags for timeouts and shutdown", s.addTimeFlags),
		newFlagGroup("Flags for keeping answers",
			func(flags *pflag.FlagSet) { addAnswersFlags(flags, &s.config.Answers) }),
		newFlagGroup("Flags for settings and traces", s.addSettingsFlags),
	}
}

// addFlags adds all flags of serve.
func (s *service) addFlags(flags *pflag.FlagSet) {
	for _, g := range s.flagGroups() {
		flags.AddFlagSet(g.flags)
	}
}

// addAddressFlags adds the flags for where the service listens.
func (s *service) addAddressFlags(flags *pflag.FlagSet) {
	config := &s.config
	flags.StringVar(&config.Addr, "addr", config.Addr,
		"`ADDRESS` to listen on: HOST:PORT, unix:/path/of.sock, or systemd for the sockets of a systemd unit")
	flags.StringVar(&config.AdminAddr, "admin-addr", "",
		"`ADDRESS` for probes and metrics, which needs no API key there (default none: they are only at --addr)")
	flags.StringVar(&config.TLSCert, "tls-cert", "", "TLS certificate `FILE` (PEM); reloaded when it changes")
	flags.StringVar(&config.TLSKey, "tls-key", "", "private key `FILE` of the certificate (PEM)")
}

// addModelFlags adds the flags for the models.
func (s *service) addModelFlags(flags *pflag.FlagSet) {
	config := &s.config.Models
	flags.StringArrayVar(&s.models, "model", nil,
		"model to serve as `NAME=PATH`, where PATH is a file, a run's folder, clothing, garments or imagenet; "+
			"repeatable; the first is the default model (default clothing)")
	flags.StringVar(&config.Folder, "models", "",
		"`FOLDER` with models as NAME/VERSION/; new versions in it are loaded while the service runs")
	flags.DurationVar(&config.Interval, "models-interval", config.Interval, "interval between checks of --models")
	flags.Int64Var(&config.MemoryBytes, "models-memory", 0,
		"maximum estimated memory of all models, in `BYTES`; further ones are refused (0 for no limit)")
	flags.BoolVar(&config.Control, "model-control", false, "let clients load, unload and roll back models")
	flags.StringVar(&config.WarmUp, "warm-up", "",
		"`FOLDER` of pictures that a version must classify before it is served")
	addAcceptFlag(flags, &s.accept)
}

// addEngineFlags adds the flags for how models compute.
func (s *service) addEngineFlags(flags *pflag.FlagSet) {
	config := &s.config.Engine
	flags.IntVar(&config.Queue, "queue", config.Queue,
		"maximum number of pictures in flight; further ones are refused with status 429")
	flags.IntVar(&config.MaxBatch, "max-batch", config.MaxBatch,
		"maximum number of pictures that a model computes together")
	flags.IntVar(&config.Workers, "workers", config.Workers,
		"number of batches that a model computes concurrently, each on one core (0 for one per core)")
	flags.IntVar(&config.Decoders, "decoders", config.Decoders,
		"number of pictures decoded concurrently (0 for one per core)")
	flags.Int64Var(&config.CacheBytes, "cache-bytes", config.CacheBytes,
		"size of the cache of answers to pictures that came before, in `BYTES` (0 disables)")
}

// addLimitFlags adds the flags for limits of requests and connections.
func (s *service) addLimitFlags(flags *pflag.FlagSet) {
	config := &s.config
	flags.Int64Var(&config.Bodies.MaxBytes, "max-body", config.Bodies.MaxBytes,
		"maximum size of a request body, in `BYTES`")
	flags.Int64Var(&config.Bodies.BudgetBytes, "max-bodies", config.Bodies.BudgetBytes,
		"maximum total size of all request bodies in memory, in `BYTES`")
	flags.IntVar(&config.Connection.MaxHeaderBytes, "max-header", config.Connection.MaxHeaderBytes,
		"maximum size of a request header, in `BYTES`")
	flags.IntVar(&config.Bodies.MaxPictures, "max-pictures", config.Bodies.MaxPictures,
		"maximum number of pictures per request")
	s.accepted.add(flags)
	flags.IntVar(&config.Connection.MaxConnections, "max-connections", config.Connection.MaxConnections,
		"maximum number of open connections; a new one takes the place of the longest idle one")
	flags.IntVar(&config.Connection.MaxPerClient, "max-connections-per-client", config.Connection.MaxPerClient,
		"maximum number of open connections of one client address, or of a proxy (0 disables)")
}

// addTimeFlags adds the flags for timeouts, and for how the service stops.
func (s *service) addTimeFlags(flags *pflag.FlagSet) {
	config := &s.config
	flags.DurationVar(&config.RequestTimeout, "timeout", config.RequestTimeout,
		"request timeout; clients may shorten it with X-Request-Timeout")
	flags.DurationVar(&config.Connection.HeaderTimeout, "header-timeout", config.Connection.HeaderTimeout,
		"timeout for reading a request header")
	flags.DurationVar(&config.Connection.IdleTimeout, "idle-timeout", config.Connection.IdleTimeout,
		"timeout for idle connections")
	flags.DurationVar(&config.DrainDelay, "drain-delay", config.DrainDelay,
		"time for load balancers to notice that the service stops: it is not ready, but still accepts connections")
	flags.DurationVar(&config.Grace, "grace", config.Grace,
		"time for requests in flight to finish when the service stops")
}

// addAccessFlags adds the flags for who may use the service, and what it may fetch.
func (s *service) addAccessFlags(flags *pflag.FlagSet) {
	config := &s.config
	flags.StringVar(&config.APIKeyFile, "api-key-file", "",
		"`FILE` of valid API keys, one per line or as TOML; reloaded when it changes")
	flags.StringArrayVar(&config.Origin.CORSOrigins, "cors-origin", nil,
		"`ORIGIN` whose web pages may use the service, or * for all; repeatable (default none)")
	flags.StringArrayVar(&config.Origin.AllowHosts, "allow-host", nil,
		"host `NAME` under which the service is available, beside localhost; repeatable (default none)")
	flags.StringArrayVar(&config.URLPrefixes, "allow-url-prefix", nil,
		"`URL` prefix from which pictures may be fetched; repeatable (default none)")
	flags.StringVar(&config.TryFolder, "try", "",
		"`FOLDER` that make try wrote, with a page that classifies clothing in the browser, to serve at /try/ "+
			"(default none)")
	flags.StringArrayVar(&s.privateNetworks, "allow-private-prefix", nil,
		"private `NETWORK`, such as 10.0.0.0/8, from which pictures may be fetched; repeatable (default none)")
}

// addSettingsFlags adds the flags for the configuration file, and for traces.
func (s *service) addSettingsFlags(flags *pflag.FlagSet) {
	flags.String(configFlag, "", "YAML `FILE` of settings, one line per flag, such as max-batch: 8")
	flags.BoolVar(&s.checkConfig, checkConfigFlag, false,
		"check the settings, without opening models or other files, and exit; the exit code is 2 if they are invalid")
	flags.BoolVar(&s.printConfig, printConfigFlag, false,
		"print all settings as a configuration file, with their sources, and exit")
	flags.StringVar(&s.config.TraceEndpoint, "trace-endpoint", "", "`URL` of an OTLP/HTTP collector to send traces to")
}

// The flags for the answers that are kept. All others of them need the first.
const (
	logAnswersFlag = "log-answers"
	answersPrefix  = "answers-"
)

// addAnswersFlags adds the flags for the answers that are kept.
func addAnswersFlags(flags *pflag.FlagSet, config *answers.Config) {
	flags.StringVar(&config.Folder, logAnswersFlag, "",
		"`FOLDER` to keep answers in, for garb drift and garb data from-feedback (default none)")
	flags.Float64Var(&config.Sample, answersPrefix+"sample", config.Sample,
		"share of the requests whose answers are kept, from 0 to 1")
	flags.BoolVar(&config.KeepPictures, answersPrefix+"pictures", config.KeepPictures, "keep pictures too")
	flags.BoolVar(&config.Embeddings, answersPrefix+"embeddings", config.Embeddings, "keep embeddings too")
	flags.IntVar(&config.Top, answersPrefix+"top", config.Top,
		"maximum number of predictions kept per picture (0 for all)")
	flags.Int64Var(&config.MaxFileBytes, answersPrefix+"file-bytes", config.MaxFileBytes,
		"maximum size of a file of answers, in `BYTES`")
	flags.DurationVar(&config.MaxFileAge, answersPrefix+"file-age", config.MaxFileAge,
		"age at which a new file of answers is started")
	flags.Int64Var(&config.MaxTotalBytes, answersPrefix+"max-bytes", config.MaxTotalBytes,
		"maximum size of the folder of answers, in `BYTES`; the oldest files are removed")
}

// checkAnswersFlags refuses settings of answers that are not kept.
func checkAnswersFlags(flags *pflag.FlagSet) error {
	var err error
	flags.VisitAll(func(f *pflag.Flag) {
		if strings.HasPrefix(f.Name, answersPrefix) && f.Value.String() != f.DefValue && err == nil &&
			flags.Lookup(logAnswersFlag).Value.String() == "" {
			err = fmt.Errorf("--%s needs --%s DIR", f.Name, logAnswersFlag)
		}
	})
	return err
}

// validate reads the environment and the configuration file, and checks all settings.
func (s *service) validate(c *cobra.Command, args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("serve takes its models as --model, not as the argument %q", args[0])
	}
	var err error
	if s.settings, err = readSettings(c.Flags(), os.LookupEnv); err != nil {
		return err
	}
	if err = checkNoteFlags(c); err != nil {
		return err
	}
	return s.finish()
}

// finish completes the settings by what the flags say, and checks them.
func (s *service) finish() error {
	if len(s.models) == 0 && s.config.Models.Folder == "" {
		s.models = []string{model.Clothing}
	}
	for _, m := range s.models {
		name, path, ok := strings.Cut(m, "=")
		if !ok && !slices.Contains(model.BuiltInNames(), m) {
			return fmt.Errorf("--model %s: it must be NAME=PATH, such as clothing=runs/mine", m)
		}
		if !ok {
			path = name
		}
		s.config.Models.Models = append(s.config.Models.Models, serve.NamedModel{Name: name, Path: path})
	}
	s.config.Engine.Limits = s.accepted.limits()
	if err := s.rules.apply(&s.config.Models); err != nil {
		return err
	}
	for _, text := range s.privateNetworks {
		network, err := netip.ParsePrefix(text)
		if err != nil {
			return fmt.Errorf("--allow-private-prefix %s: it must be a network such as 10.0.0.0/8", text)
		}
		s.config.AllowPrivate = append(s.config.AllowPrivate, network)
	}
	if err := checkAnswersFlags(s.settings.flags); err != nil {
		return err
	}
	return s.config.Validate()
}

// readEnvironment sets flags that were not given from environment variables: --max-batch from
// GARB_MAX_BATCH. The values of repeatable flags are comma-separated.
func readEnvironment(flags *pflag.FlagSet, lookup func(string) (string, bool)) error {
	var errs []error
	flags.VisitAll(func(f *pflag.Flag) {
		name := nameVariable(f.Name)
		value, ok := lookup(name)
		if f.Changed || !ok || f.Name == "help" {
			return
		}
		values := []string{value}
		if strings.HasSuffix(f.Value.Type(), "Array") {
			values = strings.Split(value, ",")
		}
		for _, v := range values {
			if err := flags.Set(f.Name, v); err != nil {
				var invalid *pflag.InvalidValueError
				if errors.As(err, &invalid) {
					err = explainValueError(invalid)
				}
				errs = append(errs, fmt.Errorf("%s: %q: %w", name, v, err))
			}
		}
	})
	return errors.Join(errs...)
}

// nameVariable returns the environment variable of a flag.
func nameVariable(flag string) string {
	return "GARB_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}
