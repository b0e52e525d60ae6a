// Lifting a finger counts as leaving the chart, which would hide the tooltip at once.
for (const leaving of ['pointerout', 'pointerleave']) {
  document.addEventListener(leaving, (event) => {
    if (event.pointerType === 'touch') {
      event.stopPropagation();
    }
  }, true);
}
