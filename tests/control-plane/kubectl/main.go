// Command kubectl is the kubectl of the Kubernetes version in go.mod. It cannot be had by "go install", whose modules
// may not replace others.
package main

import (
	"k8s.io/component-base/cli"
	"k8s.io/kubectl/pkg/cmd"
	"k8s.io/kubectl/pkg/cmd/util"
)

func main() {
	if err := cli.RunNoErrOutput(cmd.NewDefaultKubectlCommand()); err != nil {
		// Prints it as kubectl does, and exits.
		util.CheckErr(err)
	}
}
