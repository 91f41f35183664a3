// Command approval is senpuki with a mailbox, a file that has a line for every mail.
package main

import (
	"errors"
	"os"
	"path/filepath"

	"github.com/senpuki/senpuki/activities"
	"github.com/senpuki/senpuki/cmd/senpuki/cli"
)

func registry() *activities.Registry {
	reg := activities.NewRegistry()
	reg.MustRegister("send_mail", sendMail, activities.Options{Params: []string{"to", "text"}})
	return reg
}

// sendMail stands for a mail server. One write a line: processes that send at once do not mix theirs.
func sendMail(to, text string) error {
	if err := os.MkdirAll("out", 0o755); err != nil {
		return err
	}
	f, err := os.OpenFile(filepath.Join("out", "mails.txt"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = f.WriteString(to + ": " + text + "\n")
	return errors.Join(err, f.Close())
}

func main() { cli.Main(registry()) }
