package observe

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
)

// protocol is how a signal is sent to the collector.
type protocol string

const (
	protocolNone protocol = "" // the signal is not sent
	protocolGRPC protocol = "grpc"
	protocolHTTP protocol = "http/protobuf"
)

// environment holds what garb itself reads from the OTEL_* variables. OpenTelemetry's SDK reads the
// others; they are only checked here, because the SDK ignores values that it cannot use.
type environment struct {
	disabled              bool // OTEL_SDK_DISABLED
	traces, metrics, logs protocol
}

const otlp = "OTEL_EXPORTER_OTLP_"

// readEnvironment reads and checks the OTEL_* variables.
func readEnvironment() (environment, error) {
	var e environment
	if e.disabled = strings.EqualFold(variable("OTEL_SDK_DISABLED"), "true"); e.disabled {
		return e, nil
	}
	// An endpoint for traces is enough to send them. Metrics and logs must be asked for, since most
	// installations collect them from /metrics and from standard error.
	tracing := variable(otlp+"ENDPOINT") != "" || variable(otlp+"TRACES_ENDPOINT") != ""
	var errs [3]error
	e.traces, errs[0] = chooseProtocol("TRACES", tracing)
	e.metrics, errs[1] = chooseProtocol("METRICS", false)
	e.logs, errs[2] = chooseProtocol("LOGS", false)
	return e, errors.Join(append(errs[:], checkSampler(), checkNumbers(), checkExporters())...)
}

// variable returns the value of a variable. An empty one counts as unset, as OpenTelemetry says.
func variable(name string) string { return strings.TrimSpace(os.Getenv(name)) }

// chooseProtocol returns the protocol of a signal, protocolNone if it is not sent.
func chooseProtocol(signal string, byDefault bool) (protocol, error) {
	name := "OTEL_" + signal + "_EXPORTER"
	switch value := variable(name); {
	case value == "none" || value == "" && !byDefault:
		return protocolNone, nil
	case value != "otlp" && value != "":
		return protocolNone, fmt.Errorf("%s is %q: it must be otlp or none", name, value)
	}
	name = otlp + signal + "_PROTOCOL"
	if variable(name) == "" {
		name = otlp + "PROTOCOL"
	}
	switch value := protocol(variable(name)); value {
	case "", protocolHTTP:
		return protocolHTTP, nil
	case protocolGRPC:
		return protocolGRPC, nil
	default:
		return protocolNone, fmt.Errorf("%s is %q: it must be http/protobuf or grpc", name, value)
	}
}

var samplers = []string{
	"", "always_on", "always_off", "traceidratio", "parentbased_always_on", "parentbased_always_off",
	"parentbased_traceidratio",
}

// checkSampler checks OTEL_TRACES_SAMPLER and its argument.
func checkSampler() error {
	sampler := strings.ToLower(variable("OTEL_TRACES_SAMPLER"))
	if !slices.Contains(samplers, sampler) {
		return fmt.Errorf("OTEL_TRACES_SAMPLER is %q: it must be one of %s", sampler, strings.Join(samplers[1:], ", "))
	}
	text := variable("OTEL_TRACES_SAMPLER_ARG")
	if text == "" || !strings.HasSuffix(sampler, "traceidratio") {
		return nil
	}
	if ratio, err := strconv.ParseFloat(text, 64); err != nil || !(ratio >= 0 && ratio <= 1) {
		return fmt.Errorf("OTEL_TRACES_SAMPLER_ARG is %q: it must be a number from 0 to 1", text)
	}
	return nil
}

// numbers are the variables whose values are positive integers: milliseconds, or counts.
var numbers = []string{
	"OTEL_BSP_SCHEDULE_DELAY", "OTEL_BSP_EXPORT_TIMEOUT", "OTEL_BSP_MAX_QUEUE_SIZE",
	"OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "OTEL_BLRP_SCHEDULE_DELAY", "OTEL_BLRP_EXPORT_TIMEOUT",
	"OTEL_BLRP_MAX_QUEUE_SIZE", "OTEL_BLRP_MAX_EXPORT_BATCH_SIZE", "OTEL_METRIC_EXPORT_INTERVAL",
	"OTEL_METRIC_EXPORT_TIMEOUT",
	otlp + "TIMEOUT", otlp + "TRACES_TIMEOUT", otlp + "METRICS_TIMEOUT", otlp + "LOGS_TIMEOUT",
}

// maxNumber bounds a queue's memory, and keeps milliseconds within time.Duration.
const maxNumber = 1 << 30

func checkNumbers() error {
	var errs []error
	for _, name := range numbers {
		text := variable(name)
		if text == "" {
			continue
		}
		if n, err := strconv.Atoi(text); err != nil || n <= 0 || n > maxNumber {
			errs = append(errs, fmt.Errorf("%s is %q: it must be an integer from 1 to %d", name, text, maxNumber))
		}
	}
	return errors.Join(errs...)
}

// checkExporters checks the variables of each signal's exporter, and those of all signals.
func checkExporters() error {
	var errs []error
	for _, signal := range []string{"", "TRACES_", "METRICS_", "LOGS_"} {
		for setting, check := range map[string]func(string) error{
			"ENDPOINT": checkEndpoint, "HEADERS": checkHeaders, "CERTIFICATE": checkFile,
			"CLIENT_CERTIFICATE": checkFile, "CLIENT_KEY": checkFile,
		} {
			name := otlp + signal + setting
			if value := variable(name); value != "" {
				if err := check(value); err != nil {
					errs = append(errs, fmt.Errorf("%s: %w", name, err))
				}
			}
		}
	}
	slices.SortFunc(errs, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return errors.Join(errs...)
}

func checkEndpoint(value string) error {
	u, err := url.Parse(value)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return fmt.Errorf("%q is not an http or https URL", value)
	}
	return nil
}

// checkHeaders does not repeat the value, since it may contain a secret.
func checkHeaders(value string) error {
	for _, pair := range strings.Split(value, ",") {
		name, text, ok := strings.Cut(pair, "=")
		if _, err := url.PathUnescape(text); err != nil || !ok || strings.TrimSpace(name) == "" {
			return errors.New("it must be a list such as name=value,name2=value2, with percent-encoded values")
		}
	}
	return nil
}

func checkFile(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return f.Close()
}
