/* What a node in autograd's graph keeps of a call, and how it comes by gradients. */

Tensor as_rows(const Tensor &t) { return t.dim() == 2 ? t : t.flatten(0, 1); }

Tensor columns(const Tensor &array, const long *operand) {
    const Tensor rows = as_rows(array);
    return operand[1] < 0 ? rows : rows.narrow(1, operand[0], operand[1]);
}

bool nobody_listens() {
    using c10::DispatchKey;
    const c10::DispatchKeySet of_others{
        DispatchKey::Python, DispatchKey::PythonTLSSnapshot, DispatchKey::FuncTorchDynamicLayerFrontMode,
        DispatchKey::FuncTorchDynamicLayerBackMode, DispatchKey::VmapMode, DispatchKey::Tracer,
        DispatchKey::Functionalize};
    return !at::GradMode::is_enabled() && !at::hasCallbacks() &&
           !c10::impl::tls_local_dispatch_key_set().included_.has_any(of_others);
}

struct Interpreter { /* is ours for as long as this lives */
    const PyGILState_STATE before = PyGILState_Ensure();
    ~Interpreter() { PyGILState_Release(before); }
};

/* What a backward pass has to know of its forward pass. */
struct Call {
    std::shared_ptr<Loop> loop;
    c10::SafePyObject slow;
    Longs needs;
    long steps, rows;
    bool reverse;

    variable_list slowly(const variable_list &tensors, const variable_list &grads, bool changed) const {
        const Interpreter held;
        THPObjectPtr ours(THPVariable_WrapList(tensors)), theirs(THPVariable_WrapList(grads));
        THPObjectPtr need(PyTuple_New(needs.size()));
        for (size_t i = 0; i < needs.size(); i++) PyTuple_SET_ITEM(need.get(), i, PyBool_FromLong(needs[i]));
        THPObjectPtr made(PyObject_CallFunction(slow.ptr(getPyInterpreter()), "OOOllOO", ours.get(), theirs.get(),
                                                need.get(), steps, rows, reverse ? Py_True : Py_False,
                                                changed ? Py_True : Py_False));
        if (!made) {
            python_error error;
            error.persist();
            throw std::move(error);
        }
        return THPVariable_UnpackList(made.get());
    }
    variable_list quickly(variable_list &&tensors, const variable_list &grads, Backward &recipe) const;
};

struct LoopNode : Node {
    Call call;
    std::vector<SavedVariable> saved; /* what came in, the outputs, the tape */
    c10::VariableVersion counter;     /* of the outputs, which the user may change */
    uint32_t version;

    LoopNode(torch::autograd::edge_list &&edges, Call &&call)
        : Node(std::move(edges)), call(std::move(call)) {}

    std::string name() const override { return "CelloLoop"; }
    void release_variables() override {
        for (SavedVariable &variable : saved) variable.reset_data();
    }
    bool changed() const { return counter.current_version() != version; }
    variable_list unpacked() const {
        variable_list tensors;
        for (const SavedVariable &variable : saved) tensors.push_back(variable.unpack());
        return tensors;
    }

    variable_list apply(variable_list &&grads) override {
        variable_list tensors = unpacked();
        Loop &loop = *call.loop;
        const auto recipe = loop.backward.find(loop.needs(call.needs));
        bool usual = nobody_listens() && !changed() && recipe != loop.backward.end();
        for (const variable_list &some : {tensors, grads})
            for (const Tensor &t : some) usual = usual && (!t.defined() || loop.is_plain(t));
        if (usual) return call.quickly(std::move(tensors), grads, *recipe->second);
        return call.slowly(tensors, grads, changed());
    }

    /* Where PyTorch compiles backward passes, the graph has a call of `slowly`. */
    void compiled_args(CompiledNodeArgs &args) const override {
        args.collect(name());
        Longs numbers = {(long)call.loop.get(), call.steps, call.rows, call.reverse, changed()};
        numbers.insert(numbers.end(), call.needs.begin(), call.needs.end());
        for (const long number : numbers) args.collect((int64_t)number);
        args.collect(saved, false);
    }
    variable_list apply_with_saved(const variable_list &grads, SwapSavedVariables &swap) override {
        using namespace torch::dynamo::autograd;
        swap.before(saved);
        const auto function = [call = call, changed = changed()](const variable_list &grads,
                                                                 const std::vector<c10::IValue> &args) {
            return call.slowly(args[0].toTensorVector(), grads, changed);
        };
        const auto &compiler = getPyCompilerInterface();
        const std::string bound = compiler->bind_function(swap.get_py_compiler(), name(), function,
                                                          {c10::ListType::ofTensors()}, true, false);
        const auto shapes = IValuePacker<std::vector<std::optional<torch::autograd::InputMetadata>>>::pack(
            get_input_metadata(next_edges()));
        variable_list result = compiler->call_function(swap.get_py_compiler(), "apply_functional", bound, grads,
                                                       {unpacked()}, shapes);
        swap.after(saved);
        return result;
    }
};

variable_list Call::quickly(variable_list &&tensors, const variable_list &grads, Backward &recipe) const {
    at::AutoDispatchBelowAutograd below;
    const Tensor tape = tensors.back().contiguous(), y = tensors[tensors.size() - 2].contiguous();
    tensors.resize(tensors.size() - 2);
    const long states = loop->zeros.size(), total = steps * rows, given = loop->taken() + states;
    const long sums = rows * std::max(1L, (steps + SUMMED - 1) / SUMMED);
    Scratch scratch = recipe.take();
    variable_list all = loop->operands(tensors, scratch), plain;
    for (const Tensor &grad : grads) plain.push_back(grad.defined() ? grad.contiguous() : grad);
    for (long s = 0; s < states; s++) all.push_back(plain[1 + s].defined() ? plain[1 + s] : loop->zeros[s]);
    const long begin = all.size();
    const Tensor *starts = tensors.size() > loop->given ? &tensors[loop->given] : loop->zeros.data();
    for (long s = 0; s < states; s++) /* one that is given may have an axis of layers */
        all.push_back(recipe.of_start ? empty(starts[s].sizes(), loop->options) : loop->unread[s]);
    all.insert(all.end(), loop->zeros.begin(), loop->zeros.end());
    all.resize(all.size() + 2); /* what is fed back, and its gradient */
    const bool fits = scratch.total == total;
    if (!fits) scratch.arrays.clear(), scratch.total = total;
    size_t next = 0;
    for (const Longs &array : recipe.arrays) {
        const long kind = array[0], width = array[1];
        if (kind == OF_Y) all.push_back(y);
        else if (kind == OF_TAPE) all.push_back(tape);
        else if (kind == OF_GRAD)
            all.push_back(plain[0].defined() ? plain[0] : at_zero({total, width}, loop->options));
        else if (kind == OF_SUM) all.push_back(at_zero({sums, width}, loop->options));
        else if (kind == OF_DX) all.push_back(empty(tensors[0].sizes(), loop->options));
        else {
            if (!fits) scratch.arrays.push_back(empty({total, width}, loop->options));
            all.push_back(scratch.arrays[next++]);
        }
    }
    recipe(all, steps, rows, reverse, loop->pool, scratch);
    variable_list result(loop->taken() + tensors.size() - loop->given);
    if (recipe.dx >= 0) result[0] = all[recipe.dx];
    for (const Longs &p : recipe.products) {
        Tensor &grad = result[p[0]];
        const Tensor a = columns(all[p[1]], &p[2]), b = columns(all[p[4]], &p[5]);
        const bool turned = total >= TALL && a.size(1) > b.size(1);
        const Tensor part = turned ? at::mm(b.t(), a).t().contiguous() : at::mm(a.t(), b);
        if (!grad.defined() && part.sizes() == all[p[0]].sizes()) {
            grad = part;
            continue;
        }
        if (!grad.defined()) grad = at_zero(all[p[0]].sizes(), loop->options);
        Tensor target = grad.dim() == 1 ? grad.unsqueeze(-1) : grad;
        target.narrow(0, p[7], part.size(0)).narrow(1, p[8], part.size(1)).add_(part);
    }
    for (const Longs &s : recipe.sums) {
        Tensor &grad = result[s[0]];
        const Tensor &array = all[s[1]];
        const Tensor sum = sums == 1 && !recipe.shares ? array : array.sum(0);
        if (!grad.defined() && s[3] == all[s[0]].numel()) {
            grad = sum.view(all[s[0]].sizes());
            continue;
        }
        if (!grad.defined()) grad = at_zero(all[s[0]].sizes(), loop->options);
        grad.view(-1).narrow(0, s[2], s[3]).add_(sum.view(-1));
    }
    for (size_t i = given - states; i < result.size(); i++) result[i] = all[begin + i - (given - states)];
    for (size_t i = 0; i < result.size(); i++)
        if (!recipe.needs[i]) result[i].reset();
        else if (!result[i].defined()) result[i] = at_zero(all[i].sizes(), loop->options);
    if (total * recipe.widths > LITTLE) scratch.arrays.clear(), scratch.total = -1;
    recipe.give_back(std::move(scratch));
    return loop->gradients(std::move(result), tensors, needs);
}

/* A result's own place in the graph: a hook on one of several results of a node would be called where only the
 * others have a gradient. */
struct ResultNode : Node {
    using Node::Node;
    std::string name() const override { return "CelloResult"; }
    variable_list apply(variable_list &&grads) override { return std::move(grads); }
    void compiled_args(CompiledNodeArgs &args) const override { args.collect(name()); }
    variable_list apply_with_saved(const variable_list &grads, SwapSavedVariables &) override {
        return grads;
    }
};
