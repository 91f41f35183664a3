// Every command of senpuki, with the activities of this project.
package main

import "github.com/senpuki/senpuki/cmd/senpuki/cli"

func main() { cli.Main(registry()) }
