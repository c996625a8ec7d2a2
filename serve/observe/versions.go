package observe

import (
	"slices"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
)

// Version is a version of a model that is being served.
type Version struct {
	Model   string
	Number  int
	Digest  string
	Classes []string
	Judges  bool // whether it can refuse pictures
}

// is reports whether two versions have the same labels.
func (v Version) is(other Version) bool {
	return v.Model == other.Model && v.Number == other.Number && v.Digest == other.Digest
}

func (v Version) labels() []string { return []string{v.Model, strconv.Itoa(v.Number), v.Digest} }

// SetVersion records a version that is being served from now on.
func (m *Metrics) SetVersion(v Version) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.versions = append(m.versions, v)
	m.modelInfo.WithLabelValues(v.labels()...).Set(1)
	if v.Judges { // created now, so that the first refusal is an increase from 0
		m.refusals.WithLabelValues(v.Model)
	}
}

// RemoveVersion records that a version gets no new requests. Call ForgetVersion after its last answer.
func (m *Metrics) RemoveVersion(v Version) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if i := slices.IndexFunc(m.versions, v.is); i >= 0 {
		m.versions = slices.Delete(m.versions, i, i+1)
	}
	if !slices.ContainsFunc(m.versions, v.is) {
		m.modelInfo.DeleteLabelValues(v.labels()...)
	}
}

// ForgetVersion removes the series that only a removed version had: of its classes, and of its model
// if no other version of it is being served.
func (m *Metrics) ForgetVersion(v Version) {
	m.mu.Lock()
	defer m.mu.Unlock()
	served, judges := false, false
	var classes []string
	for _, other := range m.versions {
		if other.Model == v.Model {
			served, judges = true, judges || other.Judges
			classes = append(classes, other.Classes...)
		}
	}
	for _, class := range v.Classes {
		if !slices.Contains(classes, class) {
			m.predictions.DeleteLabelValues(v.Model, class)
		}
	}
	if !judges {
		m.refusals.DeleteLabelValues(v.Model)
	}
	if !served {
		model := prometheus.Labels{"model": v.Model}
		m.batchSize.DeletePartialMatch(model)
		m.predictions.DeletePartialMatch(model)
		m.shadow.DeletePartialMatch(model)
		m.shadowDrops.DeletePartialMatch(model)
		m.modelRefused.DeletePartialMatch(model)
		m.modelUnreadable.DeletePartialMatch(model)
	}
}

// CountBatch counts a batch that a model computed.
func (m *Metrics) CountBatch(model string, size int) {
	m.batchSize.WithLabelValues(model).Observe(float64(size))
}

// CountPrediction counts a classified picture by its most probable class.
func (m *Metrics) CountPrediction(model, class string) {
	m.predictions.WithLabelValues(model, class).Inc()
}

// CountRefusal counts a picture that a model refused.
func (m *Metrics) CountRefusal(model string) { m.refusals.WithLabelValues(model).Inc() }

// CountShadow counts a picture that a shadow version classified too.
func (m *Metrics) CountShadow(model string, agrees bool) {
	m.shadow.WithLabelValues(model, strconv.FormatBool(agrees)).Inc()
}

// CountShadowDropped counts a picture that a shadow version did not classify.
func (m *Metrics) CountShadowDropped(model string) { m.shadowDrops.WithLabelValues(model).Inc() }

// CountModelRefused counts a version that could not be activated.
func (m *Metrics) CountModelRefused(model string) { m.modelRefused.WithLabelValues(model).Inc() }

// CountModelUnreadable counts a check that could not read the files of an active version.
func (m *Metrics) CountModelUnreadable(model string) { m.modelUnreadable.WithLabelValues(model).Inc() }
