// Tables and figures as files: CSV of either, LaTeX of tables, SVG and PDF of figures.
"use strict";
{
  const save = (content, name, type) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([content], { type }));
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  };
  const cell = (text) => (/[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
  const csv = (rows) => rows.map((row) => row.map((each) => cell(String(each ?? ""))).join(",")).join("\n") + "\n";
  const rowsOfTable = (table) => [...table.rows].map((row) =>
    [...row.cells].flatMap((each) => [each.innerText.replaceAll("\n", " ").trim(), ...Array(each.colSpan - 1).fill("")]));
  const plain = (text) => String(text ?? "").replaceAll("<br>", "; ").replace(/<[^>]*>/g, "");
  const rowsOfFigure = (traces) => {
    const rows = [["series", "at", "value", "about"]];
    for (const trace of traces) {
      if (trace.hoverinfo === "skip") continue;
      const about = trace.text ?? trace.hovertext ?? [];
      const name = plain(trace.name);
      if (trace.type === "heatmap") trace.z.forEach((line, y) => line.forEach((value, x) => rows.push([name, `L${y}H${x}`, value, plain(about[y]?.[x])])));
      else if (trace.type === "bar") trace.x.forEach((value, at) => rows.push([name, about[at].split("<br>")[0], value, plain(about[at])]));
      // Where a mark is drawn is not always its number: steps stand equally far apart, and 0 has a place on a logarithmic axis.
      else if (trace.customdata) trace.y.forEach((value, at) => rows.push([name, trace.customdata[at], value, plain(about[at])]));
      else if (trace.hovertext) [].concat(trace.hovertext).forEach((text) => rows.push([name, "", "", plain(text)]));
    }
    return rows;
  };
  // plotly makes of a heatmap a picture of 96 dots to the inch; plots/vector.py does the same for files of print.
  const rgb = (color) => (color.startsWith("#") ? [1, 3, 5].map((at) => parseInt(color.slice(at, at + 2), 16)) : color.match(/[\d.]+/g).slice(0, 3).map(Number));
  const colorAt = (scale, share) => {
    const next = Math.max(1, scale.findIndex(([end]) => end >= share));
    const [[low, first], [high, second]] = [scale[next - 1], scale[next]].map(([end, color]) => [end, rgb(color)]);
    const part = (share - low) / (high - low);
    return `rgb(${first.map((value, at) => Math.round(value + part * (second[at] - value))).join(", ")})`;
  };
  const cellsOf = ({ z, zmin, zmax, colorscale, xgap = 0, xaxis: xref = "x", yaxis: yref = "y" }, color) =>
    z.flatMap((line, y) => [...line].flatMap((value, x) => value === null || Number.isNaN(value) ? [] : [{
      type: "rect", layer: "below", xref, yref, x0: x - 0.5, x1: x + 0.5, y0: y - 0.5, y1: y + 0.5,
      fillcolor: colorAt(colorscale, Math.min(1, Math.max(0, (value - zmin) / (zmax - zmin)))), line: { width: xgap, color },
    }]));
  const asShapes = ({ data, layout }) => {
    const clear = layout.plot_bgcolor === "rgba(0,0,0,0)", ground = clear ? "white" : layout.plot_bgcolor;
    const maps = data.filter((trace) => trace.type === "heatmap" && !trace.x && !trace.y && trace.zmin !== undefined);
    const bar = ({ zmin, zmax, colorscale, colorbar, showscale = true, xaxis = "x", yaxis = "y" }) => ({
      type: "scatter", mode: "markers", x: [null], y: [null], showlegend: false, xaxis, yaxis,
      marker: { cmin: zmin, cmax: zmax, colorscale, color: [zmin], showscale, colorbar },
    });
    return {
      data: data.map((trace) => (maps.includes(trace) ? bar(trace) : trace)),
      layout: { ...layout, plot_bgcolor: ground, paper_bgcolor: "white", shapes: [...maps.flatMap((map) => cellsOf(map, ground)), ...(layout.shapes ?? [])] },
    };
  };
  const button = (text, label, act) => {
    const made = document.createElement("button");
    made.type = "button";
    made.textContent = text;
    made.setAttribute("aria-label", label);
    made.addEventListener("click", act);
    return made;
  };
  const bar = (figure, buttons) => {
    const made = document.createElement("div");
    made.className = "files";
    made.append(...buttons);
    figure.append(made);
  };
  for (const figure of document.querySelectorAll("figure.tabular")) {
    const table = figure.querySelector("table"), latex = figure.querySelector("script.latex");
    const buttons = [button("CSV", `${figure.id} as CSV`, () => save(csv(rowsOfTable(table)), `${figure.id}.csv`, "text/csv"))];
    if (latex) buttons.push(button("LaTeX", `${figure.id} as LaTeX`, () => save(JSON.parse(latex.textContent), `${figure.id}.tex`, "text/plain")));
    bar(figure, buttons);
  }
  for (const figure of document.querySelectorAll("figure.picture")) {
    const drawing = figure.querySelector(".drawing"), pdf = figure.querySelector("script.pdf");
    const buttons = [
      button("CSV", `${figure.id} as CSV`, () => save(csv(rowsOfFigure(drawing.data)), `${figure.id}.csv`, "text/csv")),
      button("SVG", `${figure.id} as SVG`, async () => {
        const { width, height } = drawing.layout;
        const address = await Plotly.toImage(asShapes(drawing), { format: "svg", width, height });
        save(decodeURIComponent(address.slice(address.indexOf(",") + 1)), `${figure.id}.svg`, "image/svg+xml");
      }),
    ];
    if (pdf) buttons.push(button("PDF", `${figure.id} as PDF`, () =>
      save(Uint8Array.from(atob(JSON.parse(pdf.textContent)), (letter) => letter.charCodeAt(0)), `${figure.id}.pdf`, "application/pdf")));
    bar(figure, buttons);
  }
}
