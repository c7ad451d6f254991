// Command server is a Temporal server in one process, configured as `temporal server
// start-dev` configures it, with a SQLite file that is synced at every commit. It is
// here because Temporal's command line cannot be installed as a Go module.
package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/google/uuid"
	"go.temporal.io/server/common/authorization"
	"go.temporal.io/server/common/cluster"
	"go.temporal.io/server/common/config"
	"go.temporal.io/server/common/dynamicconfig"
	"go.temporal.io/server/common/log"
	"go.temporal.io/server/common/membership/static"
	"go.temporal.io/server/common/persistence/sql/sqlplugin/sqlite"
	"go.temporal.io/server/common/primitives"
	schema "go.temporal.io/server/schema/sqlite"
	"go.temporal.io/server/temporal"
)

// Where it listens: its services have the ports behind the first.
const (
	ip   = "127.0.0.1"
	port = 7233
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: server FILE")
		os.Exit(2)
	}
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "temporal-server:", err)
		os.Exit(1)
	}
}

func run(file string) error {
	store, err := openStore(file)
	if err != nil {
		return err
	}
	c := configuration(store)
	logger := log.NewZapLogger(log.BuildZapLogger(log.Config{Stdout: true, Level: "error"}))
	authorizer, err := authorization.GetAuthorizerFromConfig(&c.Global.Authorization)
	if err != nil {
		return err
	}
	claims, err := authorization.GetClaimMapperFromConfig(&c.Global.Authorization, logger)
	if err != nil {
		return err
	}
	host := func(service int) static.Hosts { return static.SingleLocalHost(fmt.Sprintf("%s:%d", ip, port+service)) }
	server, err := temporal.NewServer(
		temporal.WithConfig(c),
		temporal.ForServices(temporal.DefaultServices),
		temporal.WithStaticHosts(map[primitives.ServiceName]static.Hosts{
			primitives.FrontendService: host(0), primitives.HistoryService: host(1),
			primitives.MatchingService: host(2), primitives.WorkerService: host(3),
		}),
		temporal.WithLogger(logger),
		temporal.WithAuthorizer(authorizer),
		temporal.WithClaimMapper(func(*config.Config) authorization.ClaimMapper { return claims }),
		temporal.WithDynamicConfigClient(dynamic),
	)
	if err != nil {
		return err
	}
	if err := server.Start(); err != nil {
		return err
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGINT, syscall.SIGTERM)
	<-stop
	return server.Stop()
}

// openStore makes the file if it is not there.
func openStore(file string) (*config.SQL, error) {
	store := &config.SQL{
		PluginName: sqlite.PluginName, DatabaseName: file,
		ConnectAttributes: map[string]string{"mode": "rwc", "journal_mode": "wal", "synchronous": "2"},
	}
	if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
		if err := schema.SetupSchema(store); err != nil {
			return nil, err
		}
	}
	namespace, err := schema.NewNamespaceConfig("active", "default", false, nil)
	if err != nil {
		return nil, err
	}
	return store, schema.CreateNamespaces(store, namespace)
}

// dynamic is what start-dev sets, without limits of rates, which are not what is
// measured, and with one partition of each queue, which is fastest on one node.
var dynamic = dynamicconfig.StaticClient{
	dynamicconfig.HistoryCacheHostLevelMaxSize.Key():                        8096,
	dynamicconfig.FrontendMaxNamespaceVisibilityRPSPerInstance.Key():        100,
	dynamicconfig.MakeKey("system.forceSearchAttributesCacheRefreshOnRead"): true,
	dynamicconfig.MakeKey("frontend.persistenceMaxQPS"):                     10_000,
	dynamicconfig.MakeKey("history.persistenceMaxQPS"):                      45_000,
	dynamicconfig.MakeKey("frontend.rps"):                                   100_000,
	dynamicconfig.MakeKey("frontend.namespaceRPS"):                          100_000,
	dynamicconfig.MakeKey("history.rps"):                                    100_000,
	dynamicconfig.MakeKey("matching.rps"):                                   100_000,
	dynamicconfig.MakeKey("matching.persistenceMaxQPS"):                     100_000,
	dynamicconfig.MakeKey("matching.numTaskqueueReadPartitions"):            1,
	dynamicconfig.MakeKey("matching.numTaskqueueWritePartitions"):           1,
}

func configuration(store *config.SQL) *config.Config {
	c := &config.Config{}
	c.Global.Membership.MaxJoinDuration = 30 * time.Second
	c.Global.Membership.BroadcastAddress = ip
	c.Persistence.NumHistoryShards = 1
	c.Persistence.DefaultStore, c.Persistence.VisibilityStore = "sqlite", "sqlite"
	c.Persistence.DataStores = map[string]config.DataStore{"sqlite": {SQL: store}}
	c.ClusterMetadata = &cluster.Config{
		FailoverVersionIncrement: 10, MasterClusterName: "active", CurrentClusterName: "active",
		ClusterInformation: map[string]cluster.ClusterInformation{"active": {
			Enabled: true, InitialFailoverVersion: 1, ClusterID: uuid.NewString(),
			RPCAddress: fmt.Sprintf("%s:%d", ip, port), HTTPAddress: fmt.Sprintf("%s:%d", ip, port+10),
		}},
	}
	c.DCRedirectionPolicy.Policy = "noop"
	service := func(n, http int) (s config.Service) {
		s.RPC.GRPCPort, s.RPC.BindOnIP, s.RPC.HTTPPort = port+n, ip, http
		return s
	}
	c.Services = map[string]config.Service{"frontend": service(0, port+10), "history": service(1, 0), "matching": service(2, 0), "worker": service(3, 0)}
	c.Archival.History.State, c.Archival.Visibility.State = "disabled", "disabled"
	c.NamespaceDefaults.Archival.History.State, c.NamespaceDefaults.Archival.Visibility.State = "disabled", "disabled"
	c.PublicClient.HostPort = fmt.Sprintf("%s:%d", ip, port)
	return c
}
