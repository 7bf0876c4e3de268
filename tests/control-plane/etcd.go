package controlplane

import (
	"context"
	"fmt"
	"net/url"
	"path/filepath"
	"time"

	"go.etcd.io/etcd/server/v3/embed"
)

// startEtcd runs a single member under dir on free loopback ports and returns the URL for clients.
// Nothing in it outlives the run, so it never waits for the disk.
func startEtcd(ctx context.Context, r *runner, dir, logFile string) (string, error) {
	anyPort := []url.URL{{Scheme: "http", Host: "127.0.0.1:0"}}
	cfg := embed.NewConfig()
	cfg.Dir = filepath.Join(dir, "etcd")
	cfg.ListenClientUrls, cfg.AdvertiseClientUrls = anyPort, anyPort
	cfg.ListenPeerUrls, cfg.AdvertisePeerUrls = anyPort, anyPort
	cfg.InitialCluster = cfg.InitialClusterFromName(cfg.Name)
	cfg.UnsafeNoFsync = true
	// A lone member has nobody to wait for before it elects itself.
	cfg.TickMs, cfg.ElectionMs = 10, 100
	cfg.EnableGRPCGateway = false
	cfg.LogLevel, cfg.LogOutputs = "warn", []string{logFile}
	// Its zero value takes every request for a slow one, and logs it.
	cfg.WarningUnaryRequestDuration = time.Second

	etcd, err := embed.StartEtcd(cfg)
	if err != nil {
		return "", err
	}
	r.run("etcd", func(ctx context.Context) error {
		defer etcd.Close()
		select {
		case err := <-etcd.Err():
			return err
		case <-ctx.Done():
			return nil
		}
	})
	select {
	case <-etcd.Server.ReadyNotify():
		return fmt.Sprintf("http://%s", etcd.Clients[0].Addr()), nil
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
}
