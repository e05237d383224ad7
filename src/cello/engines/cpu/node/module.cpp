/* A call, and what Python sees of all this. */

struct PyLoop {
    PyObject_HEAD
    std::shared_ptr<Loop> loop;
};

void set_history(const Tensor &result, const c10::intrusive_ptr<Node> &node, long number) {
    const auto own = c10::make_intrusive<ResultNode>(torch::autograd::edge_list{{node, (uint32_t)number}});
    torch::autograd::set_history(result, own);
}

/* run(tensors, steps, rows, reverse, slow, stacked) -> (outputs, final states), or None; the states with an axis
 * of length 1 before the others if `stacked` */
PyObject *run(PyObject *self, PyObject *const *args, Py_ssize_t) {
    HANDLE_TH_ERRORS
    const std::shared_ptr<Loop> &loop = ((PyLoop *)self)->loop;
    const long steps = PyLong_AsLong(args[1]), rows = PyLong_AsLong(args[2]), total = steps * rows;
    const bool reverse = args[3] == Py_True, stacked = args[5] == Py_True;
    variable_list tensors;
    bool train = false;
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(args[0]); i++) {
        PyObject *object = PyList_GET_ITEM(args[0], i);
        tensors.push_back(THPVariable_Unpack(object));
        if (!loop->is_plain(tensors.back())) Py_RETURN_NONE;
        train = train || tensors.back().requires_grad();
    }
    train = train && at::GradMode::is_enabled();
    Longs needs;
    if (train)
        for (const Tensor &t : tensors) needs.push_back(t.requires_grad());
    Forward *recipe = train ? loop->taping.get() : loop->forward.get();
    if (!recipe || (train && !loop->backward.count(loop->needs(needs)))) Py_RETURN_NONE;
    Tensor y, tape;
    variable_list results;
    {
        at::AutoDispatchBelowAutograd below;
        Scratch scratch = recipe->take();
        variable_list all = loop->operands(tensors, scratch);
        c10::DimVector sizes(tensors[0].sizes());
        sizes.back() = loop->output;
        y = empty(sizes, loop->options);
        if (recipe->width) tape = empty({total, recipe->width}, loop->options);
        results.push_back(y);
        for (const Tensor &state : loop->zeros) {
            c10::DimVector shape(state.sizes());
            if (stacked) shape.insert(shape.begin(), 1);
            results.push_back(empty(shape, loop->options));
        }
        all.insert(all.end(), results.begin(), results.end());
        all.push_back(tape);
        all.emplace_back();
        Py_BEGIN_ALLOW_THREADS
        (*recipe)(all, steps, rows, reverse, loop->pool, scratch);
        Py_END_ALLOW_THREADS
        recipe->give_back(std::move(scratch));
    }
    if (train) {
        Py_INCREF(args[4]);
        const auto node = c10::make_intrusive<LoopNode>(
            torch::autograd::collect_next_edges(tensors),
            Call{loop, c10::SafePyObject(args[4], getPyInterpreter()), std::move(needs), steps, rows, reverse});
        node->saved.reserve(tensors.size() + 2);
        for (const Tensor &t : tensors) node->saved.emplace_back(t, false);
        node->saved.emplace_back(y.variable_data(), false);
        node->saved.emplace_back(tape, false);
        node->counter = torch::autograd::impl::version_counter(y);
        node->version = node->counter.current_version();
        for (const Tensor &result : results) node->add_input_metadata(result);
        for (size_t i = 1; i < results.size(); i++) set_history(results[i], node, i);
        set_history(y, node, 0); /* what is made last has its gradient first */
    }
    THPObjectPtr state(PyTuple_New(results.size() - 1));
    for (size_t i = 1; i < results.size(); i++)
        PyTuple_SET_ITEM(state.get(), i - 1, THPVariable_Wrap(std::move(results[i])));
    return Py_BuildValue("NN", THPVariable_Wrap(std::move(y)), state.release());
    END_HANDLE_TH_ERRORS
}

Longs numbers_of(PyObject *bytes) {
    const long *first = (const long *)PyBytes_AsString(bytes);
    return Longs(first, first + PyBytes_Size(bytes) / sizeof(long));
}

/* add_forward(numbers, tape) and add_backward(needs, numbers) */
PyObject *add_forward(PyObject *self, PyObject *const *args, Py_ssize_t) {
    HANDLE_TH_ERRORS
    const Longs numbers = numbers_of(args[0]);
    Reader read{numbers.data()};
    auto &loop = *((PyLoop *)self)->loop;
    (args[1] == Py_True ? loop.taping : loop.forward) = std::make_unique<Forward>(read);
    Py_RETURN_NONE;
    END_HANDLE_TH_ERRORS
}
PyObject *add_backward(PyObject *self, PyObject *const *args, Py_ssize_t) {
    HANDLE_TH_ERRORS
    const Longs numbers = numbers_of(args[0]);
    Reader read{numbers.data()};
    auto recipe = std::make_unique<Backward>(read);
    ((PyLoop *)self)->loop->backward[recipe->needs] = std::move(recipe);
    Py_RETURN_NONE;
    END_HANDLE_TH_ERRORS
}

/* Loop(numbers, like, zeros) */
PyObject *new_loop(PyTypeObject *type, PyObject *args, PyObject *) {
    HANDLE_TH_ERRORS
    PyObject *bytes, *like, *zeros;
    if (!PyArg_ParseTuple(args, "OOO", &bytes, &like, &zeros)) return nullptr;
    const Longs numbers = numbers_of(bytes);
    Reader read{numbers.data()};
    auto loop = std::make_shared<Loop>(read, THPVariable_Unpack(like), THPVariable_UnpackList(zeros));
    PyLoop *self = (PyLoop *)type->tp_alloc(type, 0);
    if (self) new (&self->loop) std::shared_ptr<Loop>(std::move(loop));
    return (PyObject *)self;
    END_HANDLE_TH_ERRORS
}

void forget(PyObject *self) {
    PyTypeObject *type = Py_TYPE(self);
    ((PyLoop *)self)->loop.~shared_ptr<Loop>();
    type->tp_free(self);
    Py_DECREF(type);
}

PyMethodDef methods[] = {{"run", (PyCFunction)(void (*)(void))run, METH_FASTCALL, nullptr},
                         {"add_forward", (PyCFunction)(void (*)(void))add_forward, METH_FASTCALL, nullptr},
                         {"add_backward", (PyCFunction)(void (*)(void))add_backward, METH_FASTCALL, nullptr},
                         {nullptr, nullptr, 0, nullptr}};
PyType_Slot slots[] = {
    {Py_tp_new, (void *)new_loop}, {Py_tp_dealloc, (void *)forget}, {Py_tp_methods, methods}, {0, nullptr}};
PyType_Spec spec = {"cello_node.Loop", sizeof(PyLoop), 0, Py_TPFLAGS_DEFAULT, slots};
PyModuleDef module = {PyModuleDef_HEAD_INIT, "cello_node", nullptr, -1, nullptr, nullptr, nullptr, nullptr, nullptr};

} /* namespace */

PyMODINIT_FUNC PyInit_cello_node(void) {
    PyObject *made = PyModule_Create(&module);
    if (made) PyModule_AddObject(made, "Loop", PyType_FromSpec(&spec));
    return made;
}
