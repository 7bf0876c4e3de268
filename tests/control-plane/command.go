package controlplane

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"runtime/debug"
	"strconv"
	"syscall"
	"testing"

	"google.golang.org/grpc/grpclog"
	"k8s.io/klog/v2"
)

const (
	exitStopped = 0
	exitFailed  = 1
	exitUsage   = 2
)

// gcPercent trades a little of the processor for a fifth of the memory: test environments come several at a time.
const gcPercent = 50

// tailLines is how much of a log is shown when something failed.
const tailLines = 15

// execute does what was asked and returns the exit code. inTest runs a function as the body of a Go test and returns when
// it has ended, in whatever way.
func (i *invocation) execute(inTest func(func(*testing.T))) int {
	switch {
	case i.serve != nil:
		return i.executeServe(inTest)
	case i.attach != nil:
		return i.executeAttach()
	default:
		return exitStopped
	}
}

func (i *invocation) executeServe(inTest func(func(*testing.T))) int {
	o := *i.serve
	logFile, err := o.prepareDir()
	if err != nil {
		return failed(err)
	}
	webhookLog, err := os.Create(o.webhookLogFile())
	if err != nil {
		return failed(err)
	}
	// Standard output carries one line and nothing else. What testing prints there is the log of the webhook, which has
	// no other place for it than its *testing.T.
	stdout := os.Stdout
	os.Stdout = webhookLog
	logTo(logFile, i.verbosity)
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	// The webhook's starter makes temporary files; they belong to this run.
	if err := os.Setenv("TMPDIR", o.dir); err != nil {
		return failed(err)
	}
	o.ready = func(kubeconfig string) { fmt.Fprintln(stdout, kubeconfig) }
	o.progress = func(format string, args ...any) { fmt.Fprintf(os.Stderr, "control-plane: "+format+"\n", args...) }

	ended := false
	inTest(func(t *testing.T) {
		err = serve(i.untilStopped(), t, o)
		ended = true
	})
	if !ended { // a t.Fatal cut the test short, and everything was stopped on the way out
		o.progress("the last lines of %s:\n%s", o.webhookLogFile(), tail(o.webhookLogFile()))
		err = errors.New("cert-manager's webhook failed")
	}
	if err != nil {
		return failed(err)
	}
	return exitStopped
}

func (i *invocation) executeAttach() int {
	stdout := os.Stdout
	os.Stdout = os.Stderr
	logTo(os.Stderr, i.verbosity)
	o := i.attach
	err := attach(i.untilStopped(), o.kubeconfig, o.controllers, o.requestBackoff, func() { fmt.Fprintln(stdout, "ready") })
	if err != nil {
		return failed(err)
	}
	return exitStopped
}

func failed(err error) int {
	fmt.Fprintf(os.Stderr, "control-plane: %v\n", err)
	return exitFailed
}

// untilStopped returns a context that ends with the first signal or, where asked, with standard input. A second signal
// ends the process at once.
func (i *invocation) untilStopped() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	go func() {
		<-signals
		cancel()
		<-signals
		os.Exit(exitFailed)
	}()
	if i.stopWithParent {
		go func() {
			// A pipe ends with the process that holds it, however that one died. Linux's parent-death signal would
			// come too early: it tells of the thread that started us.
			_, _ = io.Copy(io.Discard, os.Stdin)
			cancel()
		}()
	}
	return ctx
}

// logTo sends what the libraries log to one place; each has its own way of logging.
func logTo(w io.Writer, verbosity int) {
	flags := flag.NewFlagSet("klog", flag.ContinueOnError)
	klog.InitFlags(flags)
	for name, value := range map[string]string{
		"logtostderr":     "false",
		"stderrthreshold": "FATAL",
		"one_output":      "true", // else an error is written once for each level below it
		"v":               strconv.Itoa(verbosity),
	} {
		if err := flags.Set(name, value); err != nil {
			panic(err) // a flag that klog no longer has
		}
	}
	klog.SetOutput(w)
	log.SetOutput(w)
	grpclog.SetLoggerV2(grpclog.NewLoggerV2(io.Discard, io.Discard, w))
}

func tail(path string) []byte {
	text, err := os.ReadFile(path)
	if err != nil {
		return []byte(err.Error() + "\n")
	}
	lines := bytes.SplitAfter(text, []byte("\n"))
	return bytes.Join(lines[max(0, len(lines)-tailLines):], nil)
}
