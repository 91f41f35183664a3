//go:build !unix

// Commands where there are no process groups: only the command itself is killed.

package activities

import "os/exec"

func shellWords(text string) []string { return []string{"cmd", "/C", text} }

func ownGroup(*exec.Cmd) {}

func killGroup(cmd *exec.Cmd) error { return cmd.Process.Kill() }
