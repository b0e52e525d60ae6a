"""The style of the page; colours come from Gradio's theme, which is light or dark like the browser."""

import gradio as gr

# The browser's fonts: those of the theme lack glyphs, or are downloaded.
THEME = gr.themes.Default(font=[gr.themes.Font('sans-serif')], font_mono=[gr.themes.Font('monospace')])

CSS = """
.gradio-container { --kmcl-quiet: var(--neutral-600); }
.dark .gradio-container, .gradio-container.dark { --kmcl-quiet: var(--neutral-300); }
.kmcl-title { font-size: var(--text-xl); font-weight: 600; overflow-wrap: anywhere; }
.kmcl-count, .kmcl-heading { font-weight: 600; margin-bottom: 8px; color: var(--body-text-color); }
.kmcl-bar {
    display: grid; grid-template-columns: 1.2em 30% 1fr 4em; gap: 8px; align-items: center;
    padding: 2px 0; color: var(--kmcl-quiet);
}
.kmcl-name { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.kmcl-track {
    position: relative; height: 16px; border-radius: 4px; overflow: hidden; background: var(--neutral-200);
}
.dark .kmcl-track { background: var(--neutral-700); }
.kmcl-fill { position: absolute; inset: 0 auto 0 0; background: var(--neutral-400); }
.kmcl-line { position: absolute; top: 0; bottom: 0; width: 2px; margin-left: -1px; background: var(--body-text-color); }
.kmcl-score { text-align: right; font-variant-numeric: tabular-nums; }
.kmcl-on { color: var(--body-text-color); }
.kmcl-on .kmcl-name { font-weight: 600; }
.kmcl-on .kmcl-fill { background: var(--color-accent); }
.kmcl-tick { color: var(--color-accent); font-weight: 600; }
.kmcl-note { color: var(--kmcl-quiet); padding: 4px 0; }
.kmcl-uncertainty { display: flex; flex-direction: column; gap: 2px; color: var(--body-text-color); }
.kmcl-uncertainty span { color: var(--kmcl-quiet); }
.kmcl-refusal {
    padding: 12px; border-radius: 8px; border: 1px solid #dc2626; background: #fef2f2; color: #991b1b;
    overflow-wrap: anywhere;
}
#refusal:not(:has(.kmcl-refusal)) { display: none; }
.gradio-container:has(.kmcl-refusal) #image img { visibility: hidden; }
.kmcl-similar { display: grid; grid-template-columns: repeat(auto-fill, minmax(132px, 1fr)); gap: 12px; }
.kmcl-similar figure { margin: 0; }
.kmcl-similar img {
    width: 100%; aspect-ratio: 1; object-fit: contain; border-radius: 8px; background: var(--neutral-200);
}
.dark .kmcl-similar img { background: var(--neutral-700); }
.kmcl-similar figcaption { font-size: var(--text-sm); color: var(--body-text-color); overflow-wrap: anywhere; }
"""
