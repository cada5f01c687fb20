// A map of heads, and the panel about the one that is chosen, in a notebook.
const SVG = "http://www.w3.org/2000/svg";
const draw = (tag, attributes) => {
  const made = document.createElementNS(SVG, tag);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
};
export default {
  render({ model, el }) {
    const data = model.get("data");
    const { place, ranked, make, effect, facts, looksAt } = headPanel(data);
    const root = make("div", undefined, { class: "sycolens-explorer" });
    const left = make("div"), right = make("div", undefined, { "aria-live": "polite" });
    const choice = make("select", undefined, { "aria-label": "Head" });
    choice.append(...ranked.map((head) => make("option", `${head}: ${effect(data.score[place.get(head)])}`, { value: head })));

    const side = Math.max(5, Math.min(22, Math.floor(360 / data.heads)));
    const map = draw("svg", { width: side * data.heads + 2, height: side * data.layers + 2, role: "img", "aria-label": "Effect of every head; the list beside it names them" });
    const most = Math.max(...data.score.filter((each) => each !== null).map(Math.abs)) || 1;
    const cells = new Map();
    for (const [head, at] of place) {
      const value = data.score[at], share = value === null ? 0 : Math.abs(value) / most;
      const color = value === null ? "#9993" : `rgba(${value < 0 ? "190,30,45" : "33,102,172"},${(0.06 + 0.94 * share).toFixed(3)})`;
      const cell = draw("rect", { x: 1 + side * (at % data.heads), y: 1 + side * Math.floor(at / data.heads), width: side - 1, height: side - 1, fill: color });
      const title = draw("title", {});
      title.textContent = `${head} ${effect(value)}`;
      cell.append(title);
      cell.addEventListener("click", () => open(head));
      cells.set(head, cell);
      map.append(cell);
    }
    const list = make("dl"), tokens = make("p", undefined, { class: "tokens", dir: "auto" }), note = make("p", undefined, { class: "note" });
    const dialogue = make("select", undefined, { "aria-label": "Dialogue" });
    if (data.attention) dialogue.append(...data.attention.tokens.map((_, at) => make("option", `dialogue ${at + 1}`, { value: at })));
    const pairs = make("table");
    const name = make("h4");

    const shade = () => {
      const kept = data.attention && data.attention.weights[choice.value];
      dialogue.hidden = !kept;
      const looks = kept ? looksAt(choice.value, Number(dialogue.value)) : { words: [], about: "" };
      tokens.replaceChildren(...looks.words);
      note.textContent = looks.about;
    };
    const open = (head) => {
      if (!place.has(head)) return;
      for (const [each, cell] of cells) cell.setAttribute("stroke", each === head ? "currentColor" : "none");
      name.textContent = choice.value = head;
      list.replaceChildren(...facts(head));
      const values = data.by_pair[head] ?? [];
      const order = values.map((_, at) => at).sort((a, b) => values[a] - values[b]);
      const shown = order.length > 6 ? [...order.slice(0, 3), ...order.slice(-3)] : order;
      pairs.replaceChildren(...shown.map((at) => {
        const row = make("tr");
        row.append(make("td", effect(values[at])), make("td", data.texts[at], { dir: "auto" }));
        return row;
      }));
      shade();
      if (model.get("head") !== head) {
        model.set("head", head);
        model.save_changes();
      }
    };
    choice.addEventListener("change", () => open(choice.value));
    dialogue.addEventListener("change", shade);
    model.on("change:head", () => open(model.get("head")));
    left.append(choice, map);
    right.append(name, list, make("p", "Pairs on which it does most, one way and the other:", { class: "note" }), pairs, dialogue, tokens, note);
    root.append(left, right);
    el.append(root);
    open(model.get("head"));
  },
};
