// Command simple_flow is senpuki with two activities of its own.
package main

import (
	"github.com/senpuki/senpuki/activities"
	"github.com/senpuki/senpuki/cmd/senpuki/cli"
)

func registry() *activities.Registry {
	reg := activities.NewRegistry()
	reg.MustRegister("add_ten", func(n int) (int, error) { return n + 10, nil })
	reg.MustRegister("add_five", func(n int) (int, error) { return n + 5, nil })
	return reg
}

func main() { cli.Main(registry()) }
