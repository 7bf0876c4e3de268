// Command telemetry takes and judges what the issuer tells of its work.
//
//	telemetry receive FILE [CERTIFICATE KEY]
//	                         takes traces by OTLP over HTTP with the receiver of the OpenTelemetry Collector, by TLS where files
//	                         in PEM are given, and appends each batch to FILE, as one line of OTLP's JSON. The first line on
//	                         standard output is its address; it ends when its standard input does.
//	telemetry lint           reads metrics from standard input with Prometheus' parser, and judges names, units and help with its
//	                         linter; each problem is a line on standard output.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/receiver"
	"go.opentelemetry.io/collector/receiver/otlpreceiver"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(arguments []string) error {
	switch {
	case len(arguments) == 2 && arguments[0] == "receive":
		return receive(arguments[1], nil)
	case len(arguments) == 4 && arguments[0] == "receive":
		return receive(arguments[1], map[string]any{"cert_file": arguments[2], "key_file": arguments[3]})
	case len(arguments) == 1 && arguments[0] == "lint":
		return lint(os.Stdin, os.Stdout)
	default:
		return errors.New("usage: telemetry receive FILE [CERTIFICATE KEY] | lint")
	}
}

func lint(metrics io.Reader, problems io.Writer) error {
	found, err := promlint.New(metrics).Lint()
	if err != nil {
		return err
	}
	for _, problem := range found {
		fmt.Fprintf(problems, "%s: %s\n", problem.Metric, problem.Text)
	}
	return nil
}

func receive(path string, tls map[string]any) error {
	file, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer file.Close()
	sink, err := consumer.NewTraces(writeTo(file))
	if err != nil {
		return err
	}
	ctx := context.Background()
	address, traces, err := start(ctx, sink, tls)
	if err != nil {
		return err
	}
	fmt.Println(address)
	if _, err := io.Copy(io.Discard, os.Stdin); err != nil {
		return err
	}
	return traces.Shutdown(ctx)
}

// writeTo appends each batch in one write.
func writeTo(file *os.File) consumer.ConsumeTracesFunc {
	var one sync.Mutex
	return func(_ context.Context, batch ptrace.Traces) error {
		line, err := (&ptrace.JSONMarshaler{}).MarshalTraces(batch)
		if err != nil {
			return err
		}
		one.Lock()
		defer one.Unlock()
		_, err = file.Write(append(line, '\n'))
		return err
	}
}

// start starts the receiver at a free port. It does not say which one it got, so one is chosen for it; where somebody else
// takes that meanwhile, another one is.
func start(ctx context.Context, sink consumer.Traces, tls map[string]any) (address string, traces receiver.Traces, err error) {
	factory := otlpreceiver.NewFactory()
	for range 20 {
		if address, err = free(); err != nil {
			return "", nil, err
		}
		config := factory.CreateDefaultConfig()
		http := map[string]any{"endpoint": address}
		if tls != nil {
			http["tls"] = tls
		}
		wanted := map[string]any{"protocols": map[string]any{"http": http}}
		if err = confmap.NewFromStringMap(wanted).Unmarshal(config); err != nil {
			return "", nil, err
		}
		settings := receiver.Settings{
			ID:                component.NewID(factory.Type()),
			TelemetrySettings: componenttest.NewNopTelemetrySettings(),
		}
		if traces, err = factory.CreateTraces(ctx, settings, config, sink); err != nil {
			return "", nil, err
		}
		if err = traces.Start(ctx, componenttest.NewNopHost()); err == nil {
			return address, traces, nil
		}
	}
	return "", nil, err
}

func free() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer listener.Close()
	return listener.Addr().String(), nil
}
