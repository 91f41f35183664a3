// Runs the example as its README says.

package main

import (
	"testing"

	"github.com/senpuki/senpuki/examples/internal/exampletest"
)

func TestMain(m *testing.M) { exampletest.Main(m, "site_check", main) }

func TestSiteCheck(t *testing.T) { exampletest.Run(t, "site_check") }
