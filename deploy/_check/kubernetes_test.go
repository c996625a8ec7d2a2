package check

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"os"
	"slices"
	"testing"

	apps "k8s.io/api/apps/v1"
	autoscaling "k8s.io/api/autoscaling/v2"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	policy "k8s.io/api/policy/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"
)

// inferenceService has the fields of KServe's v1beta1.InferenceService that kserve.yaml uses: a
// predictor is a PodSpec with the fields of ComponentExtensionSpec.
type inferenceService struct {
	meta.TypeMeta   `json:",inline"`
	meta.ObjectMeta `json:"metadata"`
	Spec            struct {
		Predictor struct {
			core.PodSpec `json:",inline"`
			MinReplicas  *int32 `json:"minReplicas"`
			MaxReplicas  int32  `json:"maxReplicas"`
		} `json:"predictor"`
	} `json:"spec"`
}

// decode decodes the documents of a file strictly: unknown and repeated fields are errors. A
// document of an unknown kind is one, too.
func decode(t *testing.T, file string, kinds map[string]any) {
	t.Helper()
	text, err := os.ReadFile("../" + file)
	if err != nil {
		t.Fatal(err)
	}
	reader := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(text)))
	found := 0
	for {
		document, err := reader.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		var kind meta.TypeMeta
		if err := yaml.Unmarshal(document, &kind); err != nil {
			t.Fatal(err)
		}
		into, ok := kinds[kind.APIVersion+" "+kind.Kind]
		if !ok {
			t.Fatalf("%s has an unexpected %s %s", file, kind.APIVersion, kind.Kind)
		}
		if err := yaml.UnmarshalStrict(document, into); err != nil {
			t.Errorf("%s: %s: %v", file, kind.Kind, err)
		}
		found++
	}
	if found != len(kinds) {
		t.Errorf("%s has %d documents, not %d", file, found, len(kinds))
	}
}

func TestKubernetes(t *testing.T) {
	var deployment apps.Deployment
	var service core.Service
	var scaler autoscaling.HorizontalPodAutoscaler
	var budget policy.PodDisruptionBudget
	var network networking.NetworkPolicy
	decode(t, "kubernetes.yaml", map[string]any{
		"apps/v1 Deployment":                     &deployment,
		"v1 Service":                             &service,
		"autoscaling/v2 HorizontalPodAutoscaler": &scaler,
		"policy/v1 PodDisruptionBudget":          &budget,
		"networking.k8s.io/v1 NetworkPolicy":     &network,
	})
	pod := deployment.Spec.Template
	checkPod(t, pod.Spec)
	// Everything that selects pods selects these.
	selectors := []*meta.LabelSelector{deployment.Spec.Selector, budget.Spec.Selector, &network.Spec.PodSelector,
		{MatchLabels: service.Spec.Selector}}
	for _, c := range pod.Spec.TopologySpreadConstraints {
		selectors = append(selectors, c.LabelSelector)
	}
	for i, s := range selectors {
		selector, err := meta.LabelSelectorAsSelector(s)
		if err != nil || selector.Empty() || !selector.Matches(labels.Set(pod.Labels)) {
			t.Errorf("selector %d: %v does not match %v, %v", i, selector, pod.Labels, err)
		}
	}
	// Everything that names ports names some that exist.
	ports := pod.Spec.Containers[0].Ports
	for _, p := range service.Spec.Ports {
		if findPort(ports, p.TargetPort) != 8080 {
			t.Errorf("the service forwards to %v", p.TargetPort)
		}
	}
	for _, rule := range network.Spec.Ingress {
		for _, p := range rule.Ports {
			if findPort(ports, *p.Port) == 0 {
				t.Errorf("the network policy names the port %v", p.Port)
			}
		}
	}
	if admin := pod.Annotations["prometheus.io/port"]; findPort(ports, intstr.Parse(admin)) == 0 {
		t.Errorf("Prometheus reads the port %s", admin)
	}
	if ref := scaler.Spec.ScaleTargetRef; ref.Name != deployment.Name || ref.Kind != deployment.Kind ||
		ref.APIVersion != deployment.APIVersion {
		t.Errorf("it scales %v", ref)
	}
	if *scaler.Spec.MinReplicas < 2 || scaler.Spec.MaxReplicas < *scaler.Spec.MinReplicas ||
		budget.Spec.MinAvailable.IntValue() >= int(*scaler.Spec.MinReplicas) {
		t.Error("no pod can be moved without an outage")
	}
}

func TestKServe(t *testing.T) {
	var service inferenceService
	decode(t, "kserve.yaml", map[string]any{"serving.kserve.io/v1beta1 InferenceService": &service})
	checkPod(t, service.Spec.Predictor.PodSpec)
	if least := service.Spec.Predictor.MinReplicas; least == nil || *least > service.Spec.Predictor.MaxReplicas {
		t.Error("the numbers of replicas contradict each other")
	}
}

// checkSecurity checks that a pod meets the restricted profile of the Pod Security Standards, and
// returns its container.
func checkSecurity(t *testing.T, pod core.PodSpec) core.Container {
	t.Helper()
	if len(pod.Containers) != 1 {
		t.Fatalf("%d containers", len(pod.Containers))
	}
	c := pod.Containers[0]
	whole, own := pod.SecurityContext, c.SecurityContext
	switch {
	case whole == nil || whole.RunAsNonRoot == nil || !*whole.RunAsNonRoot,
		whole.RunAsUser == nil || *whole.RunAsUser == 0,
		whole.SeccompProfile == nil || whole.SeccompProfile.Type != core.SeccompProfileTypeRuntimeDefault,
		own == nil || own.AllowPrivilegeEscalation == nil || *own.AllowPrivilegeEscalation,
		own.Capabilities == nil || !slices.Equal(own.Capabilities.Drop, []core.Capability{"ALL"}),
		own.Capabilities.Add != nil || own.Privileged != nil,
		pod.HostNetwork || pod.HostPID || pod.HostIPC:
		t.Error("the pod does not meet the restricted profile")
	}
	if own.ReadOnlyRootFilesystem == nil || !*own.ReadOnlyRootFilesystem || pod.AutomountServiceAccountToken == nil ||
		*pod.AutomountServiceAccountToken {
		t.Error("the pod can write, or has a token")
	}
	for _, name := range []core.ResourceName{core.ResourceCPU, core.ResourceMemory} {
		request, limit := c.Resources.Requests[name], c.Resources.Limits[name]
		if request.IsZero() || limit.Cmp(request) < 0 {
			t.Errorf("%s: request %v, limit %v", name, &request, &limit)
		}
	}
	return c
}

// checkPod checks a pod of the service: its security, and that its probes use the port of
// --admin-addr.
func checkPod(t *testing.T, pod core.PodSpec) {
	t.Helper()
	c := checkSecurity(t, pod)
	i := slices.Index(c.Args, "--admin-addr")
	if i < 0 {
		t.Fatal("no --admin-addr")
	}
	admin := c.Args[i+1]
	for _, probe := range []*core.Probe{c.ReadinessProbe, c.LivenessProbe, c.StartupProbe} {
		if probe == nil {
			continue
		}
		port := findPort(c.Ports, probe.HTTPGet.Port)
		if probe.HTTPGet.Port.Type == intstr.Int {
			port = probe.HTTPGet.Port.IntVal
		}
		if want := intstr.Parse(admin[1:]); port != want.IntVal {
			t.Errorf("the probe of %s uses port %v, and --admin-addr is %s", probe.HTTPGet.Path,
				probe.HTTPGet.Port, admin)
		}
	}
	if c.ReadinessProbe == nil || c.LivenessProbe == nil {
		t.Error("a probe is missing")
	}
}

// findPort returns the number of a container's port, or 0.
func findPort(ports []core.ContainerPort, port intstr.IntOrString) int32 {
	for _, p := range ports {
		if port.Type == intstr.String && p.Name == port.StrVal ||
			port.Type == intstr.Int && p.ContainerPort == port.IntVal {
			return p.ContainerPort
		}
	}
	return 0
}
