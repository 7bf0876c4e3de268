package controlplane

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"github.com/cert-manager/cert-manager/pkg/util"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/component-base/version"
)

// invocation is what the arguments ask for: exactly one of the two is set, or none where help or a list was printed.
type invocation struct {
	serve  *serveOptions
	attach *attachOptions

	stopWithParent bool
	verbosity      int
}

const serveHelp = `Runs etcd, kube-apiserver, controllers of kube-controller-manager, and cert-manager's CRDs, controllers and
webhook, all on 127.0.0.1 and in this process. There are no nodes: Pods stay Pending.

When everything answers, one line is printed on standard output: the path of the administrator's kubeconfig
(DIR/kubeconfig). Progress goes to standard error, everything else to DIR/control-plane.log, or for the webhook DIR/webhook.log.

SIGTERM or SIGINT stops it within seconds, with exit code 0; a second one kills it at once. DIR stays behind.`

const attachHelp = `Runs cert-manager controllers in a process of their own against a running API server that has cert-manager's
CRDs, with the rights of the kubeconfig's user. Prints "ready" on standard output once their caches are filled; logs go
to standard error. SIGTERM or SIGINT stops it with exit code 0.

To have a controller run here only, take it away from the server: serve --cert-manager-controllers=all,-NAME.`

// parseArguments reads the command line. Its errors are the user's: exit code 2.
func parseArguments(args []string, stdout io.Writer) (*invocation, error) {
	// cobra would offer what the Kubernetes packages registered here as flags of ours.
	pflag.CommandLine = pflag.NewFlagSet("control-plane", pflag.ContinueOnError)
	chosen := &invocation{}
	var list bool
	root := &cobra.Command{
		Use:           "control-plane",
		Short:         "A real Kubernetes control plane with the real cert-manager, in one process, for tests",
		Version:       fmt.Sprintf("(Kubernetes %s, cert-manager %s)", version.Get().GitVersion, util.AppVersion),
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			if !list {
				return errors.New("say what to do: serve, attach, or --help")
			}
			for _, name := range certManagerControllers() {
				fmt.Fprintln(stdout, name)
			}
			return nil
		},
	}
	root.Flags().BoolVar(&list, "list-controllers", false, "print the names of the cert-manager controllers")
	root.PersistentFlags().BoolVar(&chosen.stopWithParent, "stop-with-parent", false,
		"stop when standard input ends as well: give it a pipe whose other end only the parent holds")
	root.PersistentFlags().IntVarP(&chosen.verbosity, "v", "v", 0, "how much is logged, in Kubernetes' levels (0 to 10)")
	root.AddCommand(serveCommand(chosen), attachCommand(chosen))
	root.CompletionOptions.DisableDefaultCmd = true
	root.SetArgs(args)
	root.SetOut(stdout)
	return chosen, root.Execute()
}

func serveCommand(chosen *invocation) *cobra.Command {
	o := serveOptions{}
	var controllers []string
	command := &cobra.Command{
		Use:   "serve --dir DIR",
		Short: "Run the control plane until told to stop",
		Long:  serveHelp,
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) (err error) {
			if o.port < 0 || o.port > 65535 {
				return fmt.Errorf("--port %d is not a port", o.port)
			}
			if o.resume && o.port == 0 {
				return errors.New("--resume needs the --port of the earlier run: kubeconfigs name it")
			}
			if o.certManagerControllers, err = chooseCertManagerControllers(controllers); err != nil {
				return err
			}
			if err = checkKubeControllers(o.kubeControllers); err != nil {
				return err
			}
			if o.dir, err = filepath.Abs(o.dir); err != nil {
				return err
			}
			if o.auditLog != "" {
				if o.auditLog, err = filepath.Abs(o.auditLog); err != nil {
					return err
				}
			}
			chosen.serve = &o
			return nil
		},
	}
	flags := command.Flags()
	flags.StringVar(&o.dir, "dir", "", "where state, logs and the kubeconfig are kept; new or empty, but for --resume (required)")
	flags.IntVar(&o.port, "port", 0, "the API server's port on 127.0.0.1; 0 takes any free one")
	flags.BoolVar(&o.resume, "resume", false, "go on with the keys, tokens and data that an earlier run left in DIR")
	flags.StringVar(&o.auditLog, "audit-log", "", "write every request to a resource to this file, one JSON object a line")
	flags.StringSliceVar(&o.kubeControllers, "kube-controllers", nil,
		"controllers of kube-controller-manager to run besides the usual ones, such as deployment-controller,replicaset-controller")
	addCertManagerFlags(command, &controllers, &o.requestBackoff)
	flags.Lookup("cert-manager-controllers").DefValue = "all"
	controllers = []string{"all"}
	_ = command.MarkFlagRequired("dir") // fails only for a flag that does not exist
	return command
}

type attachOptions struct {
	kubeconfig     string
	controllers    []string
	requestBackoff time.Duration
}

func attachCommand(chosen *invocation) *cobra.Command {
	o := attachOptions{}
	var controllers []string
	command := &cobra.Command{
		Use:   "attach --kubeconfig FILE --cert-manager-controllers LIST",
		Short: "Run only cert-manager controllers, against a running server",
		Long:  attachHelp,
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) (err error) {
			if o.controllers, err = chooseCertManagerControllers(controllers); err != nil {
				return err
			}
			if len(o.controllers) == 0 {
				return errors.New("--cert-manager-controllers names none")
			}
			chosen.attach = &o
			return nil
		},
	}
	command.Flags().StringVar(&o.kubeconfig, "kubeconfig", "", "the server and the user; empty in a pod, which finds both by itself (required)")
	addCertManagerFlags(command, &controllers, &o.requestBackoff)
	for _, name := range []string{"kubeconfig", "cert-manager-controllers"} {
		_ = command.MarkFlagRequired(name)
	}
	return command
}

func addCertManagerFlags(command *cobra.Command, controllers *[]string, backoff *time.Duration) {
	command.Flags().StringSliceVar(controllers, "cert-manager-controllers", nil,
		`cert-manager controllers to run: names, "all" or "none"; a minus before a name takes it away`)
	command.Flags().DurationVar(backoff, "request-backoff", time.Hour,
		"how long cert-manager waits after a Certificate's first failed request; doubles with each")
}
