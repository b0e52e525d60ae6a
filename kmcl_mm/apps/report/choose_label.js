// Draw the curve of the chosen label over the others.
const number = cb_obj.value === '' ? null : Number(cb_obj.value);
chosen.visible = item.visible = number !== null;
if (number !== null) {
  chosen.data_source.data = { ...lines[number].data_source.data };
  item.label = { value: titles[number] };
}
