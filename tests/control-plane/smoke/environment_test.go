// Package smoke starts the built binaries and checks what README.md claims. "make smoke" runs it.
package smoke

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// waitTimeout is a limit for a machine under load; what is awaited takes seconds at most.
const waitTimeout = "90s"

// binary is the path of a built program.
func binary(name string) string {
	dir := os.Getenv("CONTROL_PLANE_BIN")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "target", "control-plane")
	}
	return filepath.Join(dir, name)
}

// process is a running control-plane command.
type process struct {
	*exec.Cmd
	stdin io.Closer
	line  string // the one line on standard output
}

// start runs the command and returns when it has printed its line. It is killed with the test, if it still runs then.
func start(t *testing.T, args ...string) *process {
	t.Helper()
	p := &process{Cmd: exec.Command(binary("control-plane"), append(args, "--stop-with-parent")...)}
	p.Stderr = t.Output()
	stdin, err := p.StdinPipe()
	must(t, err)
	stdout, err := p.StdoutPipe()
	must(t, err)
	must(t, p.Start())
	t.Cleanup(func() {
		if p.ProcessState == nil {
			_ = p.Process.Kill()
			_ = p.Wait()
		}
	})
	p.stdin = stdin
	p.line, err = bufio.NewReader(stdout).ReadString('\n')
	must(t, err)
	p.line = strings.TrimSpace(p.line)
	return p
}

// serve starts a control plane in a directory of its own.
func serve(t *testing.T, flags ...string) *process {
	t.Helper()
	return start(t, append([]string{"serve", "--dir", filepath.Join(t.TempDir(), "run")}, flags...)...)
}

// stop asks the process to stop in the given way and checks that it does, in time and with exit code 0.
func (p *process) stop(t *testing.T, ask func()) {
	t.Helper()
	began := time.Now()
	ask()
	if err := p.Wait(); err != nil {
		t.Errorf("stopped with %v", err)
	}
	if took := time.Since(began); took > 30*time.Second {
		t.Errorf("stopping took %s", took)
	} else {
		t.Logf("stopped in %s; at most %d MB of memory", took.Round(time.Millisecond), p.ProcessState.SysUsage().(*syscall.Rusage).Maxrss/1024)
	}
}

func (p *process) terminate() { _ = p.Process.Signal(syscall.SIGTERM) }

// kubectl runs the built kubectl against a control plane and returns its standard output.
func (p *process) kubectl(t *testing.T, stdin string, args ...string) string {
	t.Helper()
	command := exec.CommandContext(t.Context(), binary("kubectl"), append([]string{"--kubeconfig", p.line}, args...)...)
	command.Stdin, command.Stderr = strings.NewReader(stdin), t.Output()
	out, err := command.Output()
	if err != nil {
		t.Fatalf("kubectl %s: %v", strings.Join(args, " "), err)
	}
	return string(out)
}

func (p *process) apply(t *testing.T, manifest string) {
	t.Helper()
	p.kubectl(t, manifest, "apply", "-f", "-")
}

func (p *process) wait(t *testing.T, condition string, args ...string) {
	t.Helper()
	p.kubectl(t, "", append([]string{"wait", "--timeout=" + waitTimeout, "--for=" + condition}, args...)...)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
