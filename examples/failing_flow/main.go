// Command failing_flow is senpuki with a courier whose booking desk is closed at first.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/senpuki/senpuki/activities"
	"github.com/senpuki/senpuki/cmd/senpuki/cli"
)

// closedFor is how many requests of an order find the desk closed.
const closedFor = 2

func registry() *activities.Registry {
	reg := activities.NewRegistry()
	reg.MustRegister("book_courier", bookCourier)
	reg.MustRegister("print_label", printLabel)
	return reg
}

// bookCourier stands for a service that recovers by itself. It remembers the
// requests in a file, so that the third one succeeds whichever process makes it.
func bookCourier(order string) (booking string, err error) {
	desk := filepath.Join("out", order+".requests")
	if err := os.MkdirAll("out", 0o755); err != nil {
		return "", err
	}
	requests, err := os.ReadFile(desk)
	if err != nil && !os.IsNotExist(err) {
		return "", err
	}
	requests = append(requests, '.')
	if err := os.WriteFile(desk, requests, 0o644); err != nil {
		return "", err
	}
	if n := len(requests); n <= closedFor {
		return "", activities.Fail("DeskClosed", fmt.Sprintf("request %d for order %s found the desk closed", n, order),
			activities.Data(map[string]any{"order": order, "request": n}))
	}
	return "courier-" + order, nil
}

func printLabel(order, booking string) (string, error) {
	label := filepath.Join("out", order+".label.txt")
	return label, os.WriteFile(label, []byte("order "+order+"\nvia "+booking+"\n"), 0o644)
}

func main() { cli.Main(registry()) }
