// Plotly lies in the page compressed, a third of its size, and is compiled beside the page's thread.
async function loadPlotly() {
  const packed = document.getElementById("plotly").textContent;
  const bytes = Uint8Array.from(atob(packed), (letter) => letter.charCodeAt(0));
  const unpacked = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  const code = new Blob([await new Response(unpacked).blob()], { type: "text/javascript" });
  await new Promise((loaded) => {
    const script = document.createElement("script");
    script.src = URL.createObjectURL(code);
    script.addEventListener("load", loaded);
    document.head.append(script);
  });
}
