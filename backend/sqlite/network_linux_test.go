package sqlite

import (
	"testing"

	"golang.org/x/sys/unix"
)

// What the system says of a directory tells whether locks in it can be trusted.
func TestNetworkName(t *testing.T) {
	for magic, want := range map[int64]string{
		unix.NFS_SUPER_MAGIC: "NFS", unix.CIFS_SUPER_MAGIC: "CIFS", unix.SMB_SUPER_MAGIC: "SMB", unix.SMB2_SUPER_MAGIC: "SMB",
		unix.EXT4_SUPER_MAGIC: "", unix.TMPFS_MAGIC: "", unix.OVERLAYFS_SUPER_MAGIC: "",
	} {
		if got := networkName(uint32(magic)); got != want {
			t.Errorf("%#x: %q, want %q", magic, got, want)
		}
	}
	if err := refuseNetwork(t.TempDir()); err != nil {
		t.Error(err)
	}
}
