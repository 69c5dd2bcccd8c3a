//go:build unix

package main

import (
	"context"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/acmeauthz/acmeauthz/account"
	"github.com/acmeauthz/acmeauthz/examples/fleet/hub"
	"github.com/stretchr/testify/require"
	"github.com/urfave/cli/v3"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	kubejson "sigs.k8s.io/json"
	"sigs.k8s.io/yaml"
)

// units are the services, and ten times the most exposure that "systemd-analyze security" may find in each.
var units = map[string]string{
	"fleet-agent.service": "20", "fleet-agent-once.service": "20", // they read files of others
	"fleet-hub.service": "15", "fleet-server.service": "15",
}

// TestUnits verifies the units, with a program where they say.
func TestUnits(t *testing.T) {
	analyze := need(t, "systemd-analyze")
	self, err := os.Executable()
	require.NoError(t, err)
	dir := t.TempDir()
	names, err := filepath.Glob("deploy/systemd/fleet-*")
	require.NoError(t, err)
	require.Len(t, names, len(units)+1) // and a timer
	for _, name := range names {
		text, err := os.ReadFile(name)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(dir, filepath.Base(name)), []byte(strings.ReplaceAll(string(text), "/usr/bin/fleet", self)), 0o644))
	}
	for _, name := range names {
		path := filepath.Join(dir, filepath.Base(name))
		out, err := exec.Command(analyze, "verify", "--man=no", path).CombinedOutput()
		require.NoError(t, err, string(out))
		require.Empty(t, string(out))
		if threshold, ok := units[filepath.Base(name)]; ok {
			out, err = exec.Command(analyze, "security", "--offline=true", "--threshold="+threshold, path).CombinedOutput()
			require.NoError(t, err, string(out))
		}
	}
}

// A unit is what a unit file sets, by name.
type unit map[string][]string

func readUnit(t *testing.T, name string) unit {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("deploy/systemd", name))
	require.NoError(t, err)
	u := make(unit)
	for line := range strings.Lines(strings.ReplaceAll(string(text), "\\\n", "")) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok && !strings.HasPrefix(key, "#") {
			u[key] = append(u[key], value)
		}
	}
	return u
}

// requireCommand parses a command line of the program as the program does, without doing anything. It returns the
// command.
func requireCommand(t *testing.T, args []string) *cli.Command {
	t.Helper()
	p := &program{stdout: t.Output(), stderr: t.Output()}
	commands := map[string]*cli.Command{"agent": p.agentCommand(), "hub": p.hubCommand(), "server": p.serverCommand()}
	require.Contains(t, commands, args[0])
	c := commands[args[0]]
	parsed := false
	c.Action = func(_ context.Context, c *cli.Command) error {
		parsed = true
		require.Empty(t, c.Args().Slice())
		return nil
	}
	require.NoError(t, c.Run(t.Context(), args))
	require.True(t, parsed)
	return c
}

// TestUnitFlags: the program has each flag that a unit gives it, and each credential that a command names is loaded.
func TestUnitFlags(t *testing.T) {
	for name := range units {
		u := readUnit(t, name)
		require.Len(t, u["ExecStart"], 1)
		words := strings.Fields(u["ExecStart"][0])
		require.Equal(t, "/usr/bin/fleet", words[0])
		c := requireCommand(t, words[1:])
		require.Equal(t, name == "fleet-agent-once.service", c.IsSet("once"), name)
		require.False(t, c.IsSet("apply"), name)
		var named, loaded []string
		for _, word := range words {
			if file, ok := strings.CutPrefix(word, "${CREDENTIALS_DIRECTORY}/"); ok {
				named = append(named, file)
			}
		}
		for _, credential := range u["LoadCredential"] {
			id, path, _ := strings.Cut(credential, ":")
			require.Equal(t, "/etc/acmeauthz-fleet/"+id, path)
			loaded = append(loaded, id)
		}
		require.ElementsMatch(t, named, loaded, name)
	}
	users, err := os.ReadFile("deploy/systemd/acmeauthz-fleet.conf")
	require.NoError(t, err)
	for _, name := range []string{"fleet-hub.service", "fleet-server.service"} {
		require.Regexp(t, `(?m)^u `+readUnit(t, name)["User"][0]+` - "[^"]+"$`, string(users))
	}
	// One after the other, both have the same state.
	agent, once := readUnit(t, "fleet-agent.service"), readUnit(t, "fleet-agent-once.service")
	for _, key := range []string{"User", "StateDirectory", "Environment", "LoadCredential", "CapabilityBoundingSet", "AmbientCapabilities", "InaccessiblePaths"} {
		require.NotEmpty(t, agent[key], key)
		require.Equal(t, agent[key], once[key], key)
	}
}

// manifests decodes a file of manifests strictly: no member is misspelled or in a wrong place.
func manifests(t *testing.T, name string) (all map[string]any) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("deploy/kubernetes", name))
	require.NoError(t, err)
	all = make(map[string]any)
	for document := range strings.SplitSeq(string(text), "\n---\n") {
		var head struct {
			APIVersion, Kind string
			Metadata         struct{ Name, Namespace string }
		}
		require.NoError(t, yaml.Unmarshal([]byte(document), &head))
		kinds := map[string]any{
			"v1/Namespace": &corev1.Namespace{}, "v1/ServiceAccount": &corev1.ServiceAccount{}, "v1/ConfigMap": &corev1.ConfigMap{},
			"v1/Service": &corev1.Service{}, "apps/v1/DaemonSet": &appsv1.DaemonSet{}, "apps/v1/StatefulSet": &appsv1.StatefulSet{},
			"networking.k8s.io/v1/NetworkPolicy": &networkingv1.NetworkPolicy{}, "policy/v1/PodDisruptionBudget": &policyv1.PodDisruptionBudget{},
		}
		kind := head.APIVersion + "/" + head.Kind
		require.Contains(t, kinds, kind)
		data, err := yaml.YAMLToJSONStrict([]byte(document))
		require.NoError(t, err, kind)
		wrong, err := kubejson.UnmarshalStrict(data, kinds[kind]) // which minds case, as the API does
		require.NoError(t, err, kind)
		require.Empty(t, wrong, kind)
		require.NotContains(t, all, head.Kind)
		all[head.Kind] = kinds[kind]
		if head.Kind != "Namespace" {
			require.Equal(t, all["Namespace"].(*corev1.Namespace).Name, head.Metadata.Namespace, kind)
		}
	}
	return all
}

// secrets are the files of each Secret that the README makes in a namespace.
func secrets(t *testing.T, namespace string) map[string][]string {
	t.Helper()
	text, err := os.ReadFile("deploy/README.md")
	require.NoError(t, err)
	all := make(map[string][]string)
	for _, made := range regexp.MustCompile(`(?m)^kubectl -n `+namespace+` create secret generic (\S+) (.*)$`).FindAllStringSubmatch(string(text), -1) {
		for _, word := range strings.Fields(made[2]) {
			file, ok := strings.CutPrefix(word, "--from-file=")
			require.True(t, ok, word)
			all[made[1]] = append(all[made[1]], file)
		}
	}
	return all
}

// requirePod checks what both kinds of pods have in common: nothing is named that is not there, and no right is given
// that is not needed. It returns the container's arguments by the flags' names.
func requirePod(t *testing.T, all map[string]any, pod corev1.PodTemplateSpec, labels map[string]string) map[string][]string {
	t.Helper()
	require.Equal(t, labels, pod.Labels)
	require.Equal(t, all["ServiceAccount"].(*corev1.ServiceAccount).Name, pod.Spec.ServiceAccountName)
	require.False(t, *pod.Spec.AutomountServiceAccountToken)
	require.False(t, *all["ServiceAccount"].(*corev1.ServiceAccount).AutomountServiceAccountToken)
	network := all["NetworkPolicy"].(*networkingv1.NetworkPolicy).Spec
	require.Equal(t, labels, network.PodSelector.MatchLabels)
	require.Len(t, network.PolicyTypes, 2)
	require.Equal(t, corev1.SeccompProfileTypeRuntimeDefault, pod.Spec.SecurityContext.SeccompProfile.Type)
	require.Len(t, pod.Spec.Containers, 1)
	c := pod.Spec.Containers[0]
	require.False(t, *c.SecurityContext.AllowPrivilegeEscalation)
	require.True(t, *c.SecurityContext.ReadOnlyRootFilesystem)
	require.Equal(t, []corev1.Capability{"ALL"}, c.SecurityContext.Capabilities.Drop)
	require.Empty(t, c.SecurityContext.Capabilities.Add)
	require.NotZero(t, c.Resources.Limits.Memory().Value())

	volumes := make(map[string]bool)
	for _, v := range pod.Spec.Volumes {
		volumes[v.Name] = true
	}
	require.Len(t, volumes, len(c.VolumeMounts))
	paths := make(map[string]string) // by volume
	for _, m := range c.VolumeMounts {
		require.True(t, volumes[m.Name], m.Name)
		paths[m.Name] = m.MountPath
	}
	command := requireCommand(t, c.Args)
	require.False(t, command.IsSet("apply"))
	args := make(map[string][]string)
	for _, arg := range c.Args[1:] {
		flag, value, ok := strings.Cut(arg, "=")
		require.True(t, ok, arg)
		args[flag] = append(args[flag], value)
		if filepath.IsAbs(value) {
			require.True(t, slices.ContainsFunc(slices.Collect(maps.Values(paths)), func(p string) bool { return value == p || strings.HasPrefix(value, p+"/") }), arg)
		}
		for _, variable := range regexp.MustCompile(`\$\((\w+)\)`).FindAllStringSubmatch(value, -1) {
			require.True(t, slices.ContainsFunc(c.Env, func(e corev1.EnvVar) bool { return e.Name == variable[1] }), arg)
		}
	}
	return args
}

// fieldOf is the field that a container's variable has the value of.
func fieldOf(c corev1.Container, name string) string {
	for _, e := range c.Env {
		if e.Name == name && e.ValueFrom != nil {
			return e.ValueFrom.FieldRef.FieldPath
		}
	}
	return ""
}

// TestAgentManifest: an agent by the node's name, which may write its own state only.
func TestAgentManifest(t *testing.T) {
	all := manifests(t, "agent.yaml")
	set := all["DaemonSet"].(*appsv1.DaemonSet)
	args := requirePod(t, all, set.Spec.Template, set.Spec.Selector.MatchLabels)
	pod := set.Spec.Template.Spec
	require.Equal(t, []string{"$(NODE_NAME)"}, args["--name"])
	require.Equal(t, "spec.nodeName", fieldOf(pod.Containers[0], "NODE_NAME"))
	writable := ""
	for _, m := range pod.Containers[0].VolumeMounts {
		if !m.ReadOnly {
			writable += m.MountPath
		}
	}
	require.Equal(t, args["--state-dir"], []string{writable})
	for _, v := range pod.Volumes {
		require.NotNil(t, v.HostPath, v.Name)
	}
	require.Empty(t, all["NetworkPolicy"].(*networkingv1.NetworkPolicy).Spec.Ingress)
}

// TestHubManifest: hubs by the pods' names, with a Secret's file for each.
func TestHubManifest(t *testing.T) {
	all := manifests(t, "hub.yaml")
	set := all["StatefulSet"].(*appsv1.StatefulSet)
	labels := set.Spec.Selector.MatchLabels
	args := requirePod(t, all, set.Spec.Template, labels)
	pod := set.Spec.Template.Spec
	require.Equal(t, []string{"$(POD_NAME)"}, args["--name"])
	require.Equal(t, "metadata.name", fieldOf(pod.Containers[0], "POD_NAME"))
	require.True(t, *pod.SecurityContext.RunAsNonRoot)
	require.NotZero(t, *pod.SecurityContext.RunAsUser)
	require.Equal(t, labels, all["PodDisruptionBudget"].(*policyv1.PodDisruptionBudget).Spec.Selector.MatchLabels)

	made := secrets(t, set.Namespace)
	policy := all["ConfigMap"].(*corev1.ConfigMap)
	files := make(map[string]bool)
	for _, v := range pod.Volumes {
		names := slices.Collect(maps.Keys(policy.Data))
		if v.Secret != nil {
			names = made[v.Secret.SecretName]
			require.NotEmpty(t, names, v.Secret.SecretName)
			require.EqualValues(t, 0o440, *v.Secret.DefaultMode)
			delete(made, v.Secret.SecretName)
		} else {
			require.Equal(t, policy.Name, v.ConfigMap.Name)
		}
		for _, m := range pod.Containers[0].VolumeMounts {
			for _, name := range names {
				if m.Name == v.Name {
					files[filepath.Join(m.MountPath, name)] = true
				}
			}
		}
	}
	require.Empty(t, made) // none is made for nothing
	for i := range *set.Spec.Replicas {
		require.True(t, files[strings.ReplaceAll(args["--nkey"][0], "$(POD_NAME)", fmt.Sprint(set.Name, "-", i))])
	}
	for _, flag := range []string{"--tls-ca", "--tls-cert", "--tls-key", "--policy"} {
		require.True(t, files[args[flag][0]], flag)
	}
	for _, text := range policy.Data {
		policies, err := hub.ReadPolicies(strings.NewReader(text))
		require.NoError(t, err)
		require.False(t, *policies[0].Apply)
	}

	service := all["Service"].(*corev1.Service)
	require.Equal(t, service.Name, set.Spec.ServiceName)
	require.Equal(t, labels, service.Spec.Selector)
	port := pod.Containers[0].Ports[0]
	require.Equal(t, []string{fmt.Sprint("0.0.0.0:", port.ContainerPort)}, args["--listen-http"])
	for _, probe := range []*corev1.Probe{pod.Containers[0].StartupProbe, pod.Containers[0].ReadinessProbe, pod.Containers[0].LivenessProbe} {
		require.Equal(t, "/healthz", probe.HTTPGet.Path)
		require.Equal(t, port.Name, probe.HTTPGet.Port.String())
	}
	require.Equal(t, port.Name, service.Spec.Ports[0].TargetPort.String())
	in := all["NetworkPolicy"].(*networkingv1.NetworkPolicy).Spec.Ingress
	require.Len(t, in, 1)
	require.Equal(t, port.ContainerPort, in[0].Ports[0].Port.IntVal)
	require.NotEmpty(t, in[0].From)
}

// TestContainerfile builds what the Containerfile builds, which takes a minute, and looks who runs it.
func TestContainerfile(t *testing.T) {
	t.Parallel()
	if os.Getenv("REQUIRE_DEPLOY") == "" {
		t.Skip("REQUIRE_DEPLOY is not set")
	}
	text, err := os.ReadFile("deploy/Containerfile")
	require.NoError(t, err)
	stages := regexp.MustCompile(`(?m)^FROM (\S+)`).FindAllStringSubmatch(string(text), -1)
	require.Equal(t, "scratch", stages[len(stages)-1][1])
	require.Regexp(t, `(?m)^USER 65532:65532\nENTRYPOINT \["/usr/bin/fleet"\]$`, string(text))
	build := regexp.MustCompile(`(?m)^WORKDIR /src/examples/fleet\nRUN (CGO_ENABLED=0 go build .*) -o /fleet \.$`).FindStringSubmatch(string(text))
	require.Len(t, build, 2)
	program := filepath.Join(t.TempDir(), "fleet")
	out, err := exec.Command("sh", "-c", build[1]+" -o "+program+" .").CombinedOutput()
	require.NoError(t, err, string(out))
	static, err := exec.Command("go", "version", "-m", program).Output()
	require.NoError(t, err)
	require.Contains(t, string(static), "CGO_ENABLED=0") // scratch has no libc
	out, err = exec.Command(program, "--version").CombinedOutput()
	require.NoError(t, err, string(out))
}

// TestDeployed runs the commands of the units and the manifests with the files that SECURITY.md makes: the server and the
// hub of systemd, a hub of Kubernetes beside it, and both agents.
func TestDeployed(t *testing.T) {
	t.Parallel()
	s := newSite(t, "SECURITY.md")
	for _, begin := range []string{"umask 077\nopenssl req -x509", "cat >certificate.sh", "mkdir hosts", "cat >permissions.sh"} {
		s.run(s.next(begin))
	}
	s.run("fleet nkey node1.nk >hosts/node1\nfleet nkey fleet-hub-0.nk >hubs/fleet-hub-0\nsh permissions.sh\n" + s.next("install -d"))
	status := s.status()
	here := func(credentials string) *strings.Replacer {
		return strings.NewReplacer("/usr/bin/fleet", "fleet", "${CREDENTIALS_DIRECTORY}", s.path(credentials), "/etc/acmeauthz-fleet/accounts", s.path("etc/accounts"),
			"/etc/acmeauthz-fleet", s.path("etc"), "/var/log/letsencrypt/letsencrypt.log", s.path("client/var/letsencrypt/letsencrypt.log"))
	}
	command := func(unit, credentials, name string) string {
		u := readUnit(t, unit)
		for _, credential := range u["LoadCredential"] {
			id, _, _ := strings.Cut(credential, ":")
			from := id
			if id != "ca.pem" {
				from = name + filepath.Ext(id)
			}
			s.write(filepath.Join(credentials, id), s.read(from))
		}
		text := here(credentials).Replace(u["ExecStart"][0])
		environment := "STATE_DIRECTORY=" + s.path(name+"-state")
		for _, setting := range u["Environment"] {
			variable, value, _ := strings.Cut(setting, "=")
			text = strings.ReplaceAll(text, "${"+variable+"}", value)
			environment += " " + strings.Replace(setting, "nats.example.org:4222", s.nats, 1)
		}
		if strings.Contains(text, "fleet agent") { // the flag's default is the host's
			text += " --name " + name
		}
		return "env " + environment + " " + text
	}
	require.NoError(t, os.CopyFS(s.path("etc/accounts"), os.DirFS(s.leaks.accountDir)))

	s.start("server", command("fleet-server.service", "", ""))
	s.eventually("the server is there", func() bool { return strings.Contains(s.read("server.log"), "The server is at tls://") })
	s.start("hub1", command("fleet-hub.service", "hub-credentials", "hub1")+" --listen-http 127.0.0.1:0 --save-every 500ms --lease 3s")

	set := manifests(t, "hub.yaml")
	pod := set["StatefulSet"].(*appsv1.StatefulSet).Spec.Template.Spec.Containers[0]
	s.mount("keys", map[string]string{"fleet-hub-0.nk": s.read("fleet-hub-0.nk")})
	s.mount("tls", map[string]string{"ca.pem": s.read("ca.pem"), "hub.pem": s.read("hub1.pem"), "hub.key": s.read("hub1.key")})
	s.mount("accounts", s.certManager())
	s.mount("policy", set["ConfigMap"].(*corev1.ConfigMap).Data)
	podHere := strings.NewReplacer("$(POD_NAME)", "fleet-hub-0", "0.0.0.0:9464", "127.0.0.1:0", "nats.example.org:4222", s.nats, "=/keys", "="+s.path("keys"),
		"=/tls", "="+s.path("tls"), "=/accounts", "="+s.path("accounts"), "=/policy", "="+s.path("policy"))
	s.start("fleet-hub-0", podHere.Replace("fleet "+strings.Join(pod.Args, " ")))
	s.eventually("both hubs have the key", func() bool {
		out, _ := s.try(status)
		return regexp.MustCompile(`(?m)^hub1 .* \d+ +1 +0`).MatchString(out) && regexp.MustCompile(`(?m)^fleet-hub-0 .* \d+ +1 +0`).MatchString(out)
	})

	s.start("web01", command("fleet-agent.service", "web01-credentials", "web01"))
	s.run(command("fleet-agent-once.service", "web02-credentials", "web02"))
	node := manifests(t, "agent.yaml")["DaemonSet"].(*appsv1.DaemonSet).Spec.Template.Spec.Containers[0]
	s.run("sh certificate.sh node1 clientAuth\nmkdir node1\nfor f in nk pem key; do cp node1.$f node1/agent.$f; done\ncp ca.pem node1")
	s.write("pods/shop_caddy-1_0/caddy/0.log", "2026-11-29T03:00:00.02Z stderr F {}\n")
	nodeHere := strings.NewReplacer("$(NODE_NAME)", "node1", "nats.example.org:4222", s.nats, "=/etc/acmeauthz-fleet", "="+s.path("node1"),
		"=/var/lib", "="+s.path("node1"), "=/var/log/pods", "="+s.path("pods"))
	s.run(nodeHere.Replace("fleet '" + strings.Join(node.Args, "' '") + "' --once"))
	s.eventually("all hosts and the leaks are there", func() bool {
		out, _ := s.try(status)
		return strings.Contains(out, "20 of 20 authorizations are leaked") && len(s.hosts(status)) == 3
	})
	require.Equal(t, []string{"node1", "web01", "web02"}, s.hosts(status))
	require.Zero(t, s.leaks.settled())
}

// mount makes a directory as Kubernetes mounts a Secret or a ConfigMap: by links to what can be replaced at once.
func (s *site) mount(name string, files map[string]string) {
	s.t.Helper()
	for file, content := range files {
		s.write(filepath.Join(name, "..2026_11_29", file), content)
		require.NoError(s.t, os.Symlink(filepath.Join("..data", file), s.path(filepath.Join(name, file))))
	}
	require.NoError(s.t, os.Symlink("..2026_11_29", s.path(filepath.Join(name, "..data"))))
}

// certManager is the account as kubectl prints it.
func (s *site) certManager() map[string]string {
	s.t.Helper()
	keys, err := filepath.Glob(filepath.Join(s.leaks.accountDir, "accounts/*/dir/*/private_key.json"))
	require.NoError(s.t, err)
	require.Len(s.t, keys, 1)
	data, err := os.ReadFile(keys[0])
	require.NoError(s.t, err)
	key, err := account.ParseKey(data)
	require.NoError(s.t, err)
	text := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key.(*rsa.PrivateKey))})
	list := func(items ...any) string {
		out, err := json.Marshal(map[string]any{"apiVersion": "v1", "kind": "List", "items": items})
		require.NoError(s.t, err)
		return string(out)
	}
	return map[string]string{
		"issuers.yaml": list(map[string]any{
			"apiVersion": "cert-manager.io/v1", "kind": "ClusterIssuer", "metadata": map[string]string{"name": "letsencrypt"},
			"spec":   map[string]any{"acme": map[string]any{"server": s.leaks.ca.DirectoryURL(), "privateKeySecretRef": map[string]string{"name": "letsencrypt-account"}}},
			"status": map[string]any{"acme": map[string]string{"uri": s.leaks.account}},
		}),
		"account.yaml": list(map[string]any{
			"apiVersion": "v1", "kind": "Secret", "metadata": map[string]string{"name": "letsencrypt-account", "namespace": "cert-manager"},
			"data": map[string]string{"tls.key": base64.StdEncoding.EncodeToString(text)},
		}),
	}
}
