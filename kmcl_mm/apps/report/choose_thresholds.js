// Show the curves of the chosen label, and its thresholds.
const number = Number(cb_obj.value);
const data = { threshold: shown.data.threshold };
measures.forEach((measure, row) => { data[measure] = values[number][row]; });
shown.data = data;
for (const [line, places] of [[current, currents], [best, bests]]) {
  line.visible = places[number] !== null;
  line.location = places[number] ?? 0;
}
