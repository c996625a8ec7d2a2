package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"runtime"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"garb/model"
	"garb/serve"
)

func newServeCommand() *cobra.Command {
	config := serve.Default()
	var models []string
	var accept acceptFlag
	command := &cobra.Command{
		Use:   "serve [flags]",
		Short: "Answer over HTTP: a page for people, APIs for programs",
		Long: `Answer over HTTP. Without flags the built-in classifier answers on localhost:8080:
open http://localhost:8080 and drop a picture. Programs find what they can ask at
/docs: garb's own API, the Open Inference Protocol (KServe v2, REST and gRPC on the
same port) and TensorFlow Serving's REST API.

A model that judges whether a picture shows any of its classes refuses other pictures:
"accepted": false. --accept sets the acceptance from which a picture is accepted, and
?accept=0.3 that of one request; "all" accepts every picture.

Every flag can be set as an environment variable too: --max-batch is GARB_MAX_BATCH.
SIGTERM or Ctrl-C stops: what is under way is finished within --grace.`,
		Example: `  garb serve
  garb serve --model clothing=runs/mine --model imagenet=imagenet
  garb serve --models /srv/models --addr :8080 --api-key-file keys.txt
  garb serve --accept 0.3
  curl --data-binary @photo.jpg 'http://localhost:8080/v1/classify?top=3'`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) > 0 {
				return fmt.Errorf("serve takes its models by --model, not %q", args[0])
			}
			if err := readEnvironment(c.Flags(), os.LookupEnv); err != nil {
				return err
			}
			if len(models) == 0 && config.ModelsFolder == "" {
				models = []string{model.Clothing}
			}
			for _, m := range models {
				name, path, ok := strings.Cut(m, "=")
				if !ok && !slices.Contains(model.BuiltInNames(), m) {
					return fmt.Errorf("--model %s: it is NAME=PATH, such as clothing=runs/mine", m)
				}
				if !ok {
					path = name
				}
				config.Models = append(config.Models, serve.NamedModel{Name: name, Path: path})
			}
			return config.Validate()
		},
		RunE: func(c *cobra.Command, _ []string) error {
			// A thread that computes keeps its core for milliseconds, and Go would let those that
			// read and write wait for so long; the system does not, if there is one thread more.
			// Each picture is computed by one thread: two that share one wait for each other, and
			// under load for a core.
			cores := runtime.GOMAXPROCS(0)
			runtime.GOMAXPROCS(cores + 1)
			for _, n := range []*int{&config.Workers, &config.Decoders} {
				if *n == 0 {
					*n = cores
				}
			}
			log := slog.New(slog.NewJSONHandler(c.ErrOrStderr(), &slog.HandlerOptions{Level: chooseLogLevel(c)}))
			listener, err := net.Listen("tcp", config.Addr)
			if err != nil {
				return fmt.Errorf("cannot listen on %s: %w; choose another address with --addr", config.Addr,
					errors.Unwrap(err))
			}
			s, err := serve.New(config, func(path string) (serve.Classifier, error) {
				return model.Open(path, model.Options{Threads: 1, Accept: accept.threshold})
			}, log)
			if errors.Is(err, model.ErrNoAcceptance) {
				err = fmt.Errorf("%w; omit --accept: requests can set a threshold each, by ?accept=", err)
			}
			if err != nil {
				return errors.Join(err, listener.Close())
			}
			scheme := "http"
			if config.TLSCert != "" {
				scheme = "https"
			}
			fmt.Fprintf(c.OutOrStdout(), "garb answers on %s://%s (Ctrl-C stops)\n", scheme, listener.Addr())
			if s.OpenToAll(listener) {
				fmt.Fprintln(c.ErrOrStderr(),
					"garb: anybody who reaches this port may use it; --api-key-file asks for keys, --addr "+
						"localhost:8080 keeps it to this machine")
			}
			return s.Serve(c.Context(), listener)
		},
	}
	flags := command.Flags()
	flags.StringVar(&config.Addr, "addr", config.Addr, "host and port to listen on")
	flags.StringArrayVar(&models, "model", nil,
		"NAME=PATH of a model to answer with: a file, a run's folder, clothing, garments or imagenet; "+
			"the first answers by default (default clothing)")
	flags.StringVar(&config.ModelsFolder, "models", "",
		"folder with NAME/VERSION/ folders of models, watched: the highest good version answers")
	addAcceptFlag(flags, &accept)
	flags.DurationVar(&config.ModelsInterval, "models-interval", config.ModelsInterval,
		"time between looks at --models")
	flags.IntVar(&config.Queue, "queue", config.Queue, "pictures under way at most; one more is refused with 429")
	flags.IntVar(&config.MaxBatch, "max-batch", config.MaxBatch, "waiting pictures computed together at most")
	flags.IntVar(&config.Workers, "workers", config.Workers,
		"batches that a model computes at a time, each on one core (0: one for each core)")
	flags.IntVar(&config.Decoders, "decoders", config.Decoders, "pictures decoded at a time (0: one for each core)")
	flags.Int64Var(&config.MaxBodyBytes, "max-body", config.MaxBodyBytes, "bytes of a request's body at most")
	flags.Int64Var(&config.BodyBudgetBytes, "max-bodies", config.BodyBudgetBytes,
		"bytes of all bodies together at most")
	flags.IntVar(&config.MaxPictures, "max-pictures", config.MaxPictures, "pictures of a request at most")
	flags.IntVar(&config.MaxHeaderBytes, "max-header", config.MaxHeaderBytes, "bytes of a request's header at most")
	flags.IntVar(&config.MaxConnections, "max-connections", config.MaxConnections, "connections at a time")
	flags.IntVar(&config.Limits.MaxPixels, "max-pixels", config.Limits.MaxPixels, "pixels of a picture at most")
	flags.DurationVar(&config.RequestTimeout, "timeout", config.RequestTimeout,
		"time of a request at most; clients may ask for less by X-Request-Timeout")
	flags.DurationVar(&config.HeaderTimeout, "header-timeout", config.HeaderTimeout, "time for a request's header")
	flags.DurationVar(&config.IdleTimeout, "idle-timeout", config.IdleTimeout,
		"time that a connection may stay without a request")
	flags.DurationVar(&config.Grace, "grace", config.Grace, "time that requests under way get when the service stops")
	flags.StringVar(&config.APIKeyFile, "api-key-file", "",
		"file of keys that are let in, one a line; read again when it changes")
	flags.StringVar(&config.TLSCert, "tls-cert", "", "certificate file (PEM); read again when it changes")
	flags.StringVar(&config.TLSKey, "tls-key", "", "the certificate's key file (PEM)")
	flags.StringArrayVar(&config.URLPrefixes, "allow-url-prefix", nil,
		"prefix of addresses that pictures may be fetched from (default none)")
	flags.StringVar(&config.TraceEndpoint, "trace-endpoint", "", "OTLP/HTTP collector that traces are sent to")
	return command
}

// chooseLogLevel is the least level of what is logged: with --quiet warnings and errors only,
// with --verbose what clients did wrong too.
func chooseLogLevel(c *cobra.Command) slog.Level {
	switch {
	case isSet(c, quietFlag):
		return slog.LevelWarn
	case isSet(c, verboseFlag):
		return slog.LevelDebug
	}
	return slog.LevelInfo
}

// readEnvironment sets the flags that were not given from variables: --max-batch from
// GARB_MAX_BATCH. The values of a flag that can be repeated are separated by commas.
func readEnvironment(flags *pflag.FlagSet, lookup func(string) (string, bool)) error {
	var errs []error
	flags.VisitAll(func(f *pflag.Flag) {
		name := "GARB_" + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
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
				errs = append(errs, fmt.Errorf("%s: %w", name, err))
			}
		}
	})
	return errors.Join(errs...)
}
