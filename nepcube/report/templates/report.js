
(() => {
  "use strict";
  const island = JSON.parse(document.getElementById("island").textContent);
  const told = document.getElementById("told");
  const root = document.documentElement;

  const make = (tag, looks, parent) => {
    const element = document.createElement(tag);
    if (looks) element.className = looks;
    if (parent) parent.append(element);
    return element;
  };

  // a text is a string, or one string a language of which the style sheet shows one
  const put = (element, text) => {
    if (typeof text === "string") {
      element.append(text);
      return;
    }
    const codes = Object.keys(text);
    for (const code of codes) {
      const part = codes.length > 1 ? make("span", "w", element) : element;
      if (codes.length > 1) part.lang = code;
      part.append(text[code]);
    }
  };
  const inLanguage = (text) => (typeof text === "string" ? text : text[root.lang] || Object.values(text)[0]);
  const shown = (element) => {
    const part = element.querySelector(`.w[lang="${root.lang}"]`);
    return (part || element).textContent.trim();
  };

  for (const choice of document.querySelectorAll(".languages input")) {
    const follow = () => {
      if (choice.checked) root.lang = choice.value;
    };
    choice.addEventListener("change", follow);
    follow();
  }

  // --- charts
  const clear = (chart) => {
    for (const one of chart.querySelectorAll(".on")) one.classList.remove("on");
    const tip = chart.querySelector(".tip");
    if (tip) tip.remove();
  };

  const tell = (chart, index, aloud) => {
    const mark = chart.querySelector(`[data-mark="${index}"]`);
    const what = (island.marks[chart.dataset.chart] || [])[index];
    if (!mark || !what) return;
    clear(chart);
    chart.dataset.at = index;
    const dot = chart.querySelector(`[data-dot="${index}"]`);
    mark.classList.add("on");
    if (dot) dot.classList.add("on");
    const tip = make("div", "tip", chart);
    tip.setAttribute("aria-hidden", "true");
    put(make("b", "", tip), what.t);
    for (const [label, value] of what.v) {
      const line = make("div", "", tip);
      put(line, label);
      line.append(" ");
      make("span", "v", line).append(value);
    }
    const box = chart.getBoundingClientRect();
    const at = (dot || mark).getBoundingClientRect();
    const size = tip.getBoundingClientRect();
    const middle = at.left + at.width / 2 - box.left - size.width / 2;
    let top = dot || !mark.classList.contains("strip") ? at.top - box.top - size.height - 8 : 4;
    if (top + box.top < 0) top = at.bottom - box.top + 8;
    tip.style.left = `${Math.max(0, Math.min(middle, box.width - size.width))}px`;
    tip.style.top = `${top}px`;
    if (aloud) {
      told.textContent = [inLanguage(what.t), ...what.v.map(([label, value]) => `${inLanguage(label)} ${value}`)].join(", ");
    }
  };

  for (const chart of document.querySelectorAll(".chart[tabindex]")) {
    const count = (island.marks[chart.dataset.chart] || []).length;
    const point = (event) => {
      const under = document.elementFromPoint(event.clientX, event.clientY);
      const mark = under && chart.contains(under) ? under.closest("[data-mark]") : null;
      if (mark) tell(chart, Number(mark.dataset.mark), false);
      else if (event.pointerType === "mouse") clear(chart);
    };
    chart.addEventListener("pointermove", point);
    chart.addEventListener("pointerdown", point);
    chart.addEventListener("pointerleave", (event) => {
      if (event.pointerType === "mouse") clear(chart);
    });
    chart.addEventListener("blur", () => clear(chart));
    chart.addEventListener("focus", () => {
      if (chart.matches(":focus-visible")) tell(chart, Number(chart.dataset.at || 0), true);
    });
    chart.addEventListener("keydown", (event) => {
      const now = Number(chart.dataset.at || 0);
      const next = {
        ArrowRight: now + 1, ArrowDown: now + 1, ArrowLeft: now - 1, ArrowUp: now - 1, Home: 0, End: count - 1,
      }[event.key];
      if (event.key === "Escape") clear(chart);
      if (next === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      tell(chart, Math.max(0, Math.min(count - 1, next)), true);
    });
  }
  document.addEventListener("pointerdown", (event) => {
    for (const tip of document.querySelectorAll(".tip")) {
      if (!tip.parentElement.contains(event.target)) clear(tip.parentElement);
    }
  });

  // --- tables
  const numberIn = (text) => {
    const plain = text.replace(/\u2212/g, "-").replace(/[\u202f\s]/g, "");
    const found = /^[<>≥+]?(-?\d+(?:\.\d+)?)/.exec(plain);
    // "< 0.001" is less than 0.001 itself
    return found ? Number(found[1]) - (plain.startsWith("<") ? 1e-9 : 0) : NaN;
  };

  for (const table of document.querySelectorAll("table.sortable")) {
    const body = table.tBodies[0];
    const pinned = Number(table.dataset.pinned);
    const before = [...body.rows];
    if (before.length - pinned < 2) continue;
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => {
      const label = head.querySelector(".head");
      const button = document.createElement("button");
      button.type = "button";
      label.before(button);
      button.append(label);
      button.addEventListener("click", () => {
        const rows = before.slice(pinned).map((row, place) => {
          const text = shown(row.cells[column]);
          return { row, place, text, value: numberIn(text) };
        });
        const some = column > 0 ? "some" : "every";
        const numeric = rows[some]((one) => !Number.isNaN(one.value));
        const order = numeric && column > 0 ? ["descending", "ascending"] : ["ascending", "descending"];
        const now = order[order.indexOf(head.getAttribute("aria-sort")) + 1];
        for (const one of heads) one.removeAttribute("aria-sort");
        if (now) {
          head.setAttribute("aria-sort", now);
          const sign = now === "ascending" ? 1 : -1;
          rows.sort((a, b) => {
            if (!numeric) return sign * a.text.localeCompare(b.text, root.lang) || a.place - b.place;
            // what has no number stands last either way
            if (Number.isNaN(a.value) || Number.isNaN(b.value)) return Number.isNaN(a.value) - Number.isNaN(b.value) || a.place - b.place;
            return sign * (a.value - b.value) || a.place - b.place;
          });
        }
        body.append(...rows.map((one) => one.row));
      });
    });
  }

  // --- maps
  const dialog = make("dialog", "", document.body);
  const stage = make("div", "stage", dialog);
  const picture = make("img", "", stage);
  const hint = make("p", "hint", dialog);
  put(hint, island.words.zoom_help);
  const tools = make("div", "tools", dialog);
  const view = { scale: 1, least: 1, x: 0, y: 0 };

  const show = () => {
    const width = picture.naturalWidth * view.scale;
    const height = picture.naturalHeight * view.scale;
    const keep = (place, size, room) => (size <= room ? (room - size) / 2 : Math.min(0, Math.max(room - size, place)));
    view.x = keep(view.x, width, stage.clientWidth);
    view.y = keep(view.y, height, stage.clientHeight);
    picture.style.transform = `translate(${view.x}px, ${view.y}px) scale(${view.scale})`;
  };
  const whole = () => {
    view.least = Math.min(stage.clientWidth / picture.naturalWidth, stage.clientHeight / picture.naturalHeight);
    view.scale = view.least;
    show();
  };
  const zoom = (factor, x = stage.clientWidth / 2, y = stage.clientHeight / 2) => {
    const scale = Math.max(view.least, Math.min(Math.max(4, 4 * view.least), view.scale * factor));
    view.x = x - ((x - view.x) * scale) / view.scale;
    view.y = y - ((y - view.y) * scale) / view.scale;
    view.scale = scale;
    show();
  };
  const move = (x, y) => {
    view.x += x;
    view.y += y;
    show();
  };

  const tool = (sign, words, action) => {
    const button = make("button", "", tools);
    button.type = "button";
    const face = make("span", sign ? "" : "frame", button);
    face.append(sign);
    face.setAttribute("aria-hidden", "true");
    put(make("span", "unseen", button), words);
    button.addEventListener("click", action);
  };
  tool("+", island.words.zoom_in, () => zoom(1.5));
  tool("\u2212", island.words.zoom_out, () => zoom(1 / 1.5));
  tool("", island.words.zoom_reset, whole);
  tool("\u00d7", island.words.close, () => dialog.close());

  const fingers = new Map();
  const spread = () => {
    const [a, b] = [...fingers.values()];
    return { size: Math.hypot(a.x - b.x, a.y - b.y), x: (a.x + b.x) / 2, y: (a.y + b.y) / 2 };
  };
  stage.addEventListener("pointerdown", (event) => {
    stage.setPointerCapture(event.pointerId);
    fingers.set(event.pointerId, { x: event.clientX, y: event.clientY });
  });
  stage.addEventListener("pointermove", (event) => {
    const last = fingers.get(event.pointerId);
    if (!last) return;
    const before = fingers.size === 2 ? spread() : null;
    fingers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    if (before) {
      const after = spread();
      move(after.x - before.x, after.y - before.y);
      zoom(after.size / Math.max(before.size, 1), after.x, after.y);
    } else if (fingers.size === 1) {
      move(event.clientX - last.x, event.clientY - last.y);
    }
  });
  for (const end of ["pointerup", "pointercancel"]) {
    stage.addEventListener(end, (event) => fingers.delete(event.pointerId));
  }
  stage.addEventListener("wheel", (event) => {
    event.preventDefault();
    zoom(Math.exp(-event.deltaY / 400), event.clientX, event.clientY);
  }, { passive: false });
  stage.addEventListener("dblclick", (event) => zoom(2, event.clientX, event.clientY));
  dialog.addEventListener("keydown", (event) => {
    const action = {
      "+": () => zoom(1.5), "=": () => zoom(1.5), "-": () => zoom(1 / 1.5), "0": whole,
      ArrowLeft: () => move(80, 0), ArrowRight: () => move(-80, 0), ArrowUp: () => move(0, 80), ArrowDown: () => move(0, -80),
    }[event.key];
    if (!action || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    action();
  });
  dialog.addEventListener("close", () => {
    fingers.clear();
    picture.removeAttribute("src");
  });
  window.addEventListener("resize", () => {
    if (dialog.open) whole();
  });

  for (const sheet of document.querySelectorAll(".sheet")) {
    const images = [...sheet.querySelectorAll("img")];
    const open = async () => {
      // of a map that is drawn in each language, the one that is shown
      const image = images.find((one) => one.lang === root.lang) || images[0];
      const label = document.getElementById(image.getAttribute("aria-labelledby"));
      dialog.setAttribute("aria-labelledby", label.id);
      picture.alt = shown(label);
      picture.src = image.src;
      dialog.showModal();
      await picture.decode();
      whole();
    };
    const button = make("button", "enlarge", sheet);
    button.type = "button";
    put(button, island.words.enlarge);
    button.addEventListener("click", open);
    for (const image of images) {
      image.classList.add("zoomable");
      image.addEventListener("click", open);
    }
  }

  // --- print: everything unfolded
  let folded = [];
  window.addEventListener("beforeprint", () => {
    folded = [...document.querySelectorAll("details:not([open])")];
    for (const one of folded) one.open = true;
    for (const chart of document.querySelectorAll(".chart")) clear(chart);
  });
  window.addEventListener("afterprint", () => {
    for (const one of folded) one.open = false;
  });
})();
