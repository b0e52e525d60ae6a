// A finger that is lifted leaves the chart, and what it has tapped would be hidden again at once.
for (const leaving of ['pointerout', 'pointerleave']) {
  document.addEventListener(leaving, (event) => {
    if (event.pointerType === 'touch') {
      event.stopPropagation();
    }
  }, true);
}
