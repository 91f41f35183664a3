// Command senpuki runs durable workflows.
package main

import "github.com/senpuki/senpuki/cmd/senpuki/cli"

func main() { cli.Main(nil) }
