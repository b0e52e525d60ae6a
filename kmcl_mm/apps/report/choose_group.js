// Colour the images of the chosen label, or those of the most frequent labels.
const chosen = cb_obj.value === '' ? frequent : [Number(cb_obj.value)];
const group = source.data.present.map((labels) => {
  const place = chosen.findLastIndex((label) => labels.includes(label));
  return String(place);
});
legend.items.forEach((item, place) => {
  if (place < legend.items.length - 1) {
    item.visible = place < chosen.length;
    item.label = { value: place < chosen.length ? names[chosen[place]] : '' };
  }
});
source.data = { ...source.data, group };
